"""The stack, the marks and the memo of a pickle, with what opcodes do to them.

`unpickle` says which opcode does what and why none of it can run anything. Here are the moves: take
bytes that are really there, keep containers plain, and construct either by one of our own functions
or as a `Stub`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import BinaryIO

from dyntools.checkpoints.inert import Name, Stub

Table = Mapping[tuple[str, str], Callable[..., object]]
Persistent = Callable[[object], object]

_LONGEST_LINE = 1 << 16  # of protocol 0: a name or a number; chosen


def check_key(key: object, depth: int = 3) -> None:
    """Refuses keys whose hash recurses: a deep tuple overflows the C stack of `hash`."""
    if isinstance(key, tuple):
        if depth == 0:
            raise ValueError("a dictionary key nested too deeply")
        for part in key:
            check_key(part, depth - 1)
    elif isinstance(key, frozenset):
        raise ValueError("a set as a dictionary key")


def paired(flat: list[object]) -> dict[object, object]:
    """key, value, key, value … as a dictionary."""
    if len(flat) % 2:
        raise ValueError("a key without a value")
    for key in flat[::2]:
        check_key(key)
    return dict(zip(flat[::2], flat[1::2], strict=True))


class Machine:
    """The stack, the marks and the memo of one pickle."""

    def __init__(self, source: BinaryIO, size: int, table: Table, persistent: Persistent) -> None:
        self.source, self.size = source, size
        self.table, self.persistent = table, persistent
        self.stack: list[object] = []
        self.marks: list[list[object]] = []
        self.memo: dict[int, object] = {}

    def take(self, length: int) -> bytes:
        if length > 4096 and length > self.size - self.source.tell():
            raise ValueError(f"{length} bytes announced, fewer are left")
        data = self.source.read(length) if length >= 0 else b""
        if len(data) != length:
            raise ValueError("the file ends early")
        return data

    def skip(self, length: int) -> None:
        self.take(length)

    def number(self, form: str) -> int:
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def line(self) -> bytes:
        line = self.source.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise ValueError("a line without end")
        return line[:-1]

    def sized(self, form: str) -> bytes:
        return self.take(self.number(form))

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> object:
        return self.stack.pop()

    def mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list[object]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def pop_or_unmark(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.pop_mark()

    def forget(self) -> None:
        self.pop_mark()

    def remember(self, key: int) -> None:
        self.memo[key] = self.stack[-1]

    def append_all(self, values: list[object]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, Stub):
            target.items.extend(values)
        else:
            raise TypeError(f"append to {type(target).__name__}")

    def add_all(self, values: list[object]) -> None:
        target = self.stack[-1]
        for value in values:
            check_key(value)
        if isinstance(target, set):
            target.update(values)
        elif isinstance(target, Stub):
            target.items.extend(values)
        else:
            raise TypeError(f"add to {type(target).__name__}")

    def freeze(self) -> None:
        items = self.pop_mark()
        for item in items:
            check_key(item)
        self.push(frozenset(items))

    def set_all(self, pairs: list[object]) -> None:
        target = self.stack[-1]
        mapping = target.mapping if isinstance(target, Stub) else target
        if not isinstance(mapping, dict):
            raise TypeError(f"item of {type(target).__name__}")
        mapping.update(paired(pairs))

    def name_lines(self) -> None:
        self.push(Name(self.line().decode(), self.line().decode()))

    def name_on_stack(self) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise TypeError("a global that is not named by strings")
        self.push(Name(module, name))

    def construct(self, function: object, args: object) -> None:
        """REDUCE and its kin: our own function for a known name, a stub for any other."""
        if not isinstance(args, tuple):
            raise TypeError("arguments that are not a tuple")
        if not isinstance(function, Name):
            self.push(Stub("a call of no named function", args))
        elif (function.module, function.name) in self.table:
            self.push(self.table[function.module, function.name](*args))
        else:
            self.push(Stub(str(function), args))

    def reduce(self) -> None:
        args = self.pop()
        self.construct(self.pop(), args)

    def new_with_keywords(self) -> None:
        self.pop()
        self.reduce()

    def object_of_mark(self) -> None:
        function, *args = self.pop_mark()
        self.construct(function, tuple(args))

    def instance(self) -> None:
        self.name_lines()
        function = self.pop()
        self.construct(function, tuple(self.pop_mark()))

    def build(self) -> None:
        """State of a stub is kept; of anything else, such as `_metadata` of a state dict, not."""
        state = self.pop()
        target = self.stack[-1]
        if isinstance(target, Stub):
            target.state = state
