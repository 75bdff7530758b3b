"""The protobuf wire format, as far as TensorBoard's and W&B's records need it.

A message is a row of fields, each a key (number << 3 | kind) and a value: kind 0 a varint, 1 eight
bytes, 2 a length and as many bytes, 5 four bytes. Reference: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, EIGHT, LENGTH, FOUR = 0, 1, 2, 5
LONGEST_VARINT = 10  # bytes: 64 bits in groups of seven


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of every field, in the order written. Raises ValueError where it is cut."""
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        kind = key & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind == LENGTH:
            size, at = _varint(message, at)
        elif kind in (EIGHT, FOUR):
            size = 8 if kind == EIGHT else 4
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        if at + size > end:
            raise ValueError("a field runs past the end of its message")
        yield key >> 3, message[at : at + size]
        at += size


def signed(value: int) -> int:
    """A varint read as int64."""
    return value - (1 << 64) if value >= 1 << 63 else value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    if at < len(message) and message[at] < 128:  # nearly always
        return message[at], at + 1
    value = 0
    for place, byte in enumerate(message[at : at + LONGEST_VARINT]):
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value & (1 << 64) - 1, at + place + 1
    raise ValueError("a number without an end")
