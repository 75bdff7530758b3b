"""The machine builds what pickle builds, and nothing that a file could do harm with."""

import io
import pickle
import pickletools
import resource
from collections import Counter, OrderedDict, defaultdict, deque

import pytest

from dyntools.checkpoints.inert import Name, Stub, plain, walk
from dyntools.checkpoints.torch_objects import TABLE
from dyntools.checkpoints.unpickle import unpickle
from dyntools.errors import CheckpointError

VALUES = {
    "numbers": [0, 1, -1, 255, 65535, 1 << 31, -(1 << 80), 1.5, float("inf"), True, False, None],
    "strings": ["", "ascii", "Größe 漢字", "x" * 300, b"", b"\x00\xff", "a\nb'\"\\"],
    "nested": {"a": [1, (2, (3, {"b": {4}}))], "c": ({}, [], ()), 7: "seven", (1, "x"): None},
    "frozen": frozenset({1, 2}),
}


def load(data):
    def persistent(identity):
        return ("persistent", identity)

    return unpickle(io.BytesIO(data), len(data), TABLE, persistent)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", VALUES)
def test_plain_values_of_every_protocol(name, protocol):
    value = VALUES[name]
    assert load(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(2, 6))
def test_known_containers_become_plain(protocol):
    value = [OrderedDict(a=1), Counter("aab"), deque([1, 2]), defaultdict(list, a=[1])]
    want = [{"a": 1}, {"a": 2, "b": 1}, [1, 2], {"a": [1]}]
    assert load(pickle.dumps(value, protocol)) == want


def test_every_opcode_is_known_or_refused_on_purpose():
    from dyntools.checkpoints.unpickle import _OPERATIONS

    known = {code.decode("latin1") for code in _OPERATIONS} | {"."}
    missing = {op.name for op in pickletools.opcodes if op.code not in known}
    assert missing == {"EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"}


@pytest.mark.parametrize("code", [b"\x82\x01.", b"\x83\x01\x00.", b"\x84\x01\x00\x00\x00."])
def test_the_extension_registry_is_refused(code):
    """copyreg's cache hands out objects that no name in the file shows."""
    with pytest.raises(CheckpointError, match="damaged"):
        load(code)


def test_a_call_is_never_made():
    for protocol in range(6):
        found = load(pickle.dumps(_Call(), protocol))
        assert isinstance(found, Stub)
        assert found.args == ("exit(1)",)
    assert load(b"cos\nsystem\n.") == Name("os", "system")


class _Call:
    def __reduce__(self):
        return (exec, ("exit(1)",))


class Configuration:
    def __init__(self):
        self.depth = 3
        self.inner = {"lr": 0.1}


@pytest.mark.parametrize("protocol", range(6))
def test_an_unknown_object_keeps_its_attributes(protocol):
    found = load(pickle.dumps(Configuration(), protocol))
    assert plain(found) == {"depth": 3, "inner": {"lr": 0.1}}


BOMBS = {
    "memo key": b"Nr\xff\xff\xff\xff.",
    "bytes": b"\x8e" + (1 << 40).to_bytes(8, "little") + b".",
    "bytearray": b"\x96" + (1 << 40).to_bytes(8, "little") + b".",
    "text": b"X\xff\xff\xff\xffa.",
    "integer": b"\x8b\xff\xff\xff\x7f\x01.",
    "negative length": b"T\xff\xff\xff\xff.",
    "frame": b"\x95\xff\xff\xff\xff\xff\xff\xff\x7fN.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_announced_sizes_are_not_believed(name):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if name in ("memo key", "frame"):
        load(BOMBS[name])
    else:
        with pytest.raises(CheckpointError):
            load(BOMBS[name])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024


def test_a_deep_tuple_as_a_key_does_not_overflow_the_stack():
    """tuple.__hash__ recurses in C without a limit: a million levels end the process."""
    with pytest.raises(CheckpointError):
        load(b"})" + b"\x85" * 1_000_000 + b"Ns.")


def test_deep_and_self_referring_structures_are_walked_and_dropped():
    deep = load(b"]" * 100_000 + b"a" * 99_999 + b".")
    assert sum(1 for _ in walk(deep)) == 100_000
    itself = load(b"]q\x00h\x00a.")
    assert sum(1 for _ in walk(itself)) == 1
    assert plain(itself) is not None


def test_shared_structure_does_not_explode():
    doubling = b"]q\x00" + b"".join(
        b"]h" + bytes([i]) + b"ah" + bytes([i]) + b"aq" + bytes([i + 1]) for i in range(60)
    )
    root = load(doubling + b".")
    assert sum(1 for _ in walk(root)) == 61
    plain(root)


@pytest.mark.parametrize("data", [b"", b"N", b"(.", b"a.", b"h\x00.", b"]N.", b"K", b"\xffN."])
def test_nonsense(data):
    if data == b"]N.":  # more on the stack than the result: harmless, as in pickle
        assert load(data) is None
        return
    with pytest.raises(CheckpointError):
        load(data)
