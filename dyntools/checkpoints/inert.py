"""What a pickle may build: plain values, tensors still on disk, and stubs that do nothing.

A pickle is a program: it names functions and asks that they be called. Here a name stays a `Name`,
which is two strings, and an object of any class but those of `torch_objects` becomes a `Stub`,
which keeps what it was given and has no behaviour. Nothing is looked up, imported or called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Name:
    """A global named by a file: a class or a function that is never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, repr=False)
class Stub:
    """Stands for an object of an unknown class: its origin and what the file gave it."""

    origin: str
    args: tuple[object, ...] = ()
    state: object = None
    items: list[object] = field(default_factory=list)
    mapping: dict[object, object] = field(default_factory=dict)

    def attributes(self) -> dict[str, object]:
        """The instance dictionary, from the state with or without slots."""
        states = self.state if isinstance(self.state, tuple) else (self.state,)
        return {
            name: value
            for state in states
            if isinstance(state, dict)
            for name, value in state.items()
            if isinstance(name, str)
        }


@dataclass(frozen=True)
class StorageRef:
    """A storage a file names: its key there, the dtype of its elements and how many they are."""

    key: str
    dtype: str
    numel: int
    offset: int = 0  # elements into the keyed storage; only legacy files have views


@dataclass(frozen=True, eq=False)
class TensorRef:
    """A tensor as a view of a storage: strides and offset in elements of `dtype`."""

    storage: StorageRef
    dtype: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def walk(root: object) -> Iterator[object]:
    """Every object below `root`, each once, however deep or self-referring the structure is."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        yield value
        if isinstance(value, Mapping):
            waiting.extend(value.values())
        elif isinstance(value, list | tuple | set | frozenset):
            waiting.extend(value)
        elif isinstance(value, Stub):
            waiting += [value.args, value.state, value.items, value.mapping]


# Enough for any configuration met; a structure that refers to itself must end somewhere.
_PLAIN_DEPTH = 12
_PLAIN_VALUES = 100_000


def plain(value: object) -> object:
    """`value` as JSON-like data: attributes of stubs as dictionaries, None for what is no data."""
    budget = [_PLAIN_VALUES]
    return _plain(value, _PLAIN_DEPTH, budget)


def plain_mapping(value: object) -> dict[str, object]:
    """`plain(value)` if that is a dictionary, else an empty one."""
    result = plain(value)
    return result if isinstance(result, dict) else {}


def _plain(value: object, depth: int, budget: list[int]) -> object:
    budget[0] -= 1
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if depth == 0 or budget[0] < 0:
        return None
    if isinstance(value, Stub):
        value = value.attributes() | value.mapping
    if isinstance(value, dict):
        keyed = {k: v for k, v in value.items() if isinstance(k, str | int | float)}
        return {str(k): _plain(v, depth - 1, budget) for k, v in keyed.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v, depth - 1, budget) for v in value]
    return None
