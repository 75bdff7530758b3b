"""A pickle machine that can build data and do nothing else.

Why it is safe: the machine has no import, no attribute lookup and no call of anything a file names.
GLOBAL pushes a `Name`, two strings. REDUCE and NEWOBJ compare that name with the caller's table of
our own pure functions, and make an inert `Stub` of every other. The extension registry (EXT1/2/4),
the one way to an object that no name in the file shows, is refused, and so is every opcode not
listed. `pickle.Unpickler` with `find_class` overridden would not do: its C code takes extensions
from a cache without asking, and allocates gigabytes for one LONG_BINPUT or BYTEARRAY8.

Bounds: a length is compared with the bytes that are left before anything is allocated, memo keys
go into a dictionary, the loop does not recurse, keys must be hashable without recursion, and the
number of opcodes is limited. Format: Python's Lib/pickletools.py, protocols 0 to 5.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from typing import BinaryIO

from dyntools.checkpoints.pickle_machine import Machine, Persistent, Table, paired
from dyntools.errors import CheckpointError

# An opcode costs at most some hundred bytes of memory, so this bounds it to a few GB in the worst
# case. A file with a million recorded losses needs two million. Chosen; no source.
MAX_OPCODES = 20_000_000

_MALFORMED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,  # also UnicodeError
    struct.error,
)


def unpickle(source: BinaryIO, size: int, table: Table, persistent: Persistent) -> object:
    """The object of the pickle at the position of `source`, which has `size` bytes in all."""
    machine = Machine(source, size, table, persistent)
    try:
        return _run(machine)
    except _MALFORMED as error:
        raise CheckpointError(
            "the pickle in this file is damaged, or not a pickle",
            found=f"{type(error).__name__}: {str(error)[:200]}",
        ) from error


def _run(machine: Machine) -> object:
    for _ in range(MAX_OPCODES):
        code = machine.source.read(1)
        if code == b".":
            return machine.pop()
        operation = _OPERATIONS.get(code)
        if operation is None:
            raise ValueError(f"opcode {code!r} is refused" if code else "the file ends early")
        operation(machine)
    raise ValueError(f"more than {MAX_OPCODES} opcodes")


def _text(data: bytes) -> str:
    """Strings of Python 2 have no encoding; latin1 reads any bytes."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("latin1")


def _integer_line(machine: Machine) -> None:
    line = machine.line()
    machine.push(line == b"01" if line in (b"00", b"01") else int(line))


def _long(machine: Machine, form: str) -> None:
    machine.push(int.from_bytes(machine.sized(form), "little", signed=True))


def _string_line(machine: Machine) -> None:
    quoted = machine.line()
    if len(quoted) < 2 or quoted[:1] != quoted[-1:] or quoted[:1] not in (b"'", b'"'):
        raise ValueError("a string without quotes")
    machine.push(_text(codecs.escape_decode(quoted[1:-1])[0]))


def _tuple(machine: Machine, length: int) -> None:
    if len(machine.stack) < length:
        raise IndexError("too few values for a tuple")
    items = machine.stack[-length:]
    del machine.stack[-length:]
    machine.push(tuple(items))


def _memoize(machine: Machine) -> None:
    machine.remember(len(machine.memo))


_OPERATIONS: dict[bytes, Callable[[Machine], None]] = {
    # frames and the protocol number say nothing a reader of a whole file needs
    b"\x80": lambda m: m.skip(1),
    b"\x95": lambda m: m.skip(8),
    # values
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": _integer_line,
    b"J": lambda m: m.push(m.number("<i")),
    b"K": lambda m: m.push(m.number("<B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"L": lambda m: m.push(int(m.line().rstrip(b"L"))),
    b"\x8a": lambda m: _long(m, "<B"),
    b"\x8b": lambda m: _long(m, "<i"),
    b"F": lambda m: m.push(float(m.line())),
    b"G": lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    # strings
    b"S": _string_line,
    b"T": lambda m: m.push(_text(m.sized("<i"))),
    b"U": lambda m: m.push(_text(m.sized("<B"))),
    b"V": lambda m: m.push(m.line().decode("raw-unicode-escape")),
    b"X": lambda m: m.push(_text(m.sized("<I"))),
    b"\x8c": lambda m: m.push(_text(m.sized("<B"))),
    b"\x8d": lambda m: m.push(_text(m.sized("<Q"))),
    b"B": lambda m: m.push(m.sized("<I")),
    b"C": lambda m: m.push(m.sized("<B")),
    b"\x8e": lambda m: m.push(m.sized("<Q")),
    b"\x96": lambda m: m.push(m.sized("<Q")),
    # containers
    b"]": lambda m: m.push([]),
    b"a": lambda m: m.append_all([m.pop()]),
    b"e": lambda m: m.append_all(m.pop_mark()),
    b"l": lambda m: m.push(m.pop_mark()),
    b")": lambda m: m.push(()),
    b"t": lambda m: m.push(tuple(m.pop_mark())),
    b"\x85": lambda m: _tuple(m, 1),
    b"\x86": lambda m: _tuple(m, 2),
    b"\x87": lambda m: _tuple(m, 3),
    b"}": lambda m: m.push({}),
    b"d": lambda m: m.push(paired(m.pop_mark())),
    b"s": lambda m: m.set_all([m.pop(), m.pop()][::-1]),
    b"u": lambda m: m.set_all(m.pop_mark()),
    b"\x8f": lambda m: m.push(set()),
    b"\x90": lambda m: m.add_all(m.pop_mark()),
    b"\x91": lambda m: m.freeze(),
    # stack and memo
    b"(": Machine.mark,
    b"0": Machine.pop_or_unmark,
    b"1": lambda m: m.forget(),
    b"2": lambda m: m.push(m.stack[-1]),
    b"g": lambda m: m.push(m.memo[int(m.line())]),
    b"h": lambda m: m.push(m.memo[m.number("<B")]),
    b"j": lambda m: m.push(m.memo[m.number("<I")]),
    b"p": lambda m: m.remember(int(m.line())),
    b"q": lambda m: m.remember(m.number("<B")),
    b"r": lambda m: m.remember(m.number("<I")),
    b"\x94": _memoize,
    # names and objects
    b"c": Machine.name_lines,
    b"\x93": Machine.name_on_stack,
    b"R": Machine.reduce,
    b"\x81": Machine.reduce,
    b"\x92": Machine.new_with_keywords,
    b"i": Machine.instance,
    b"o": Machine.object_of_mark,
    b"b": Machine.build,
    b"P": lambda m: m.push(m.persistent(m.line().decode())),
    b"Q": lambda m: m.push(m.persistent(m.pop())),
}
