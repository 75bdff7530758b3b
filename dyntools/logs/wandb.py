"""Weights & Biases offline runs, `run-*.wandb`. Experimental: the format is private to W&B.

The file is a LevelDB log: after 7 bytes of header, blocks of 32 KiB hold chunks (CRC-32, length as
uint16, kind as uint8, data); the chunks of kind 1, or of kinds 2, 3 … 3, 4, make one `Record`
message. Field 2 of a record is a row of the history. Seen in wandb 0.31.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from dyntools.log import Log
from dyntools.logs.points import Points, plural
from dyntools.logs.protobuf import fields
from dyntools.logs.rows import add_rows
from dyntools.logs.text import head

MAGIC = b":W&B"
START = 7  # bytes: the magic, a magic number, a version
BLOCK = 32 * 1024
CHUNK = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
KEPT = ("_step", "_timestamp")  # of the names that begin with "_", which are W&B's own
NOTE = "W&B's offline format is private and may change; reading it is experimental"
CUT = "the file ends within a record (still being written, or cut)"


def recognises(path: Path) -> bool:
    """Whether the file begins as W&B's do."""
    return head(path, len(MAGIC)) == MAGIC


def open(path: Path) -> Log:
    """Every number of the history, under its name; dots between the names of nested ones."""
    points, notes = Points(), [NOTE]
    add_rows(points, _rows(path.read_bytes(), notes))
    return points.log(path.name, "wandb", notes)


def _rows(data: bytes, notes: list[str]) -> Iterator[dict[str, object]]:
    bad = 0
    for record in _records(data, notes):
        try:
            histories = [value for number, value in fields(record) if number == 2]
            rows = [_row(history) for history in histories if isinstance(history, bytes)]
        except ValueError:
            bad += 1
            continue
        yield from rows
    if bad:
        notes.append(f"{plural(bad, 'damaged record')} skipped")


def _records(data: bytes, notes: list[str]) -> Iterator[bytes]:
    at, parts, begun = START, list[bytes](), False
    while at + CHUNK.size <= len(data):
        room = BLOCK - at % BLOCK
        if room < CHUNK.size:
            at += room
            continue
        crc, length, kind = CHUNK.unpack_from(data, at)
        chunk = data[at + CHUNK.size : at + CHUNK.size + length]
        at += CHUNK.size + length
        if len(chunk) < length:
            notes.append(CUT)
            return
        if crc != zlib.crc32(chunk, zlib.crc32(bytes([kind]))):
            notes.append("a damaged chunk: what follows it is missing")
            return
        begun = kind in (FULL, FIRST) or (begun and kind in (MIDDLE, LAST))
        parts = [chunk] if kind in (FULL, FIRST) else [*parts, chunk]
        if begun and kind in (FULL, LAST):
            yield b"".join(parts)
            begun = False
    if begun or at < len(data):
        notes.append(CUT)


def _row(history: bytes) -> dict[str, object]:
    row: dict[str, object] = {}
    for number, value in fields(history):
        if isinstance(value, bytes) and number == 1:
            name, raw = _item(value)
            if not name.startswith("_") or name in KEPT:
                row[name] = raw
        elif isinstance(value, bytes) and number == 2 and "_step" not in row:
            row["_step"] = next((n for key, n in fields(value) if key == 1), 0)
    return row


def _item(message: bytes) -> tuple[str, object]:
    name, nested, raw = "", [], b"null"
    for number, value in fields(message):
        if isinstance(value, bytes):
            if number == 1:
                name = value.decode(errors="replace")
            elif number == 2:
                nested.append(value.decode(errors="replace"))
            elif number == 16:
                raw = value
    try:
        return name or ".".join(nested), json.loads(raw)
    except (ValueError, RecursionError):
        return name or ".".join(nested), None
