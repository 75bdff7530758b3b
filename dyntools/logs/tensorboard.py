"""TensorBoard event files, read without TensorBoard: every point, where its own reader thins out.

The file is a row of records: length as uint64, masked CRC-32C of the length, data, masked CRC-32C
of the data. The data is an `Event` message. A scalar is a `simple_value` (float32), or a tensor of
one element. The last record of a run that is being written, or was killed, is cut; all before it
count.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from dyntools.log import Log
from dyntools.logs.points import LIGHTNING, Points, plural
from dyntools.logs.protobuf import fields, signed
from dyntools.logs.text import head

HEADER = struct.Struct("<QI")
FOOTER = 4  # bytes: the CRC of the data, not checked, for in Python that costs more than reading
LIGHTNINGS_OWN = "hp_metric"  # a tag that its logger, and no other, writes
VERSION = b"brain.Event:"  # what the first event of every file says
FLOAT, DOUBLE = struct.Struct("<f"), struct.Struct("<d")
DT_FLOAT, DT_DOUBLE = 1, 2  # tensorflow/core/framework/types.proto
CASTAGNOLI = 0x82F63B78  # the polynomial of CRC-32C, bits reversed


def recognises(path: Path) -> bool:
    """Whether the first record is whole in its length and is a version event."""
    start = head(path, 64)
    if len(start) < HEADER.size or VERSION not in start:
        return False
    length, crc = HEADER.unpack_from(start)
    return bool(length < 1024 and crc == masked_crc(start[:8]))


def open(path: Path) -> Log:
    """Every scalar of the file, under its tag."""
    points, notes, bad = Points(), list[str](), 0
    with path.open("rb") as file:
        for record in _records(file, notes):
            try:
                _add_event(points, record)
            except (ValueError, struct.error):
                bad += 1
    if bad:
        notes.append(f"{plural(bad, 'damaged event')} skipped")
    log = points.log(path.name, "tensorboard", notes)
    lightning = LIGHTNINGS_OWN in log.curves
    return replace(log, notes=(*log.notes, LIGHTNING)) if lightning else log


def masked_crc(data: bytes) -> int:
    """CRC-32C (Castagnoli) of a few bytes, rotated and offset as TFRecord stores it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _crc_entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (CASTAGNOLI if value & 1 else 0)
    return value


_TABLE = tuple(_crc_entry(byte) for byte in range(256))


def _records(file: BinaryIO, notes: list[str]) -> Iterator[bytes]:
    left = os.fstat(file.fileno()).st_size
    while left:
        header = file.read(HEADER.size)
        left -= HEADER.size
        if left < 0:
            break
        length, crc = HEADER.unpack(header)
        if crc != masked_crc(header[:8]):
            notes.append("a damaged record length: what follows it cannot be found and is missing")
            return
        left -= length + FOOTER
        if left < 0:
            break
        yield file.read(length)
        file.seek(FOOTER, os.SEEK_CUR)
    if left < 0:
        notes.append("the last record is incomplete (still being written, or cut) and was skipped")


def _add_event(points: Points, event: bytes) -> None:
    wall, step, summary = math.nan, 0, b""
    for number, value in fields(event):
        if number == 1 and isinstance(value, bytes):
            (wall,) = DOUBLE.unpack(value)
        elif number == 2 and isinstance(value, int):
            step = signed(value)
        elif number == 5 and isinstance(value, bytes):
            summary = value
    for number, value in fields(summary):
        if number == 1 and isinstance(value, bytes):
            tag, scalar = _tag_and_scalar(value)
            if scalar is not None:
                points.add(tag, step, scalar, wall)


def _tag_and_scalar(message: bytes) -> tuple[str, float | None]:
    tag, scalar = "", None
    for number, value in fields(message):
        if not isinstance(value, bytes):
            continue
        if number == 1:
            tag = value.decode(errors="replace")
        elif number == 2:
            (scalar,) = FLOAT.unpack(value)
        elif number == 8:
            scalar = _only_element(value)
    return tag, scalar


def _only_element(tensor: bytes) -> float | None:
    """The value of a float tensor with one element; None for images, texts, histograms."""
    content: bytes | None = None
    form = None
    for number, value in fields(tensor):
        if number == 1 and isinstance(value, int):
            form = {DT_FLOAT: FLOAT, DT_DOUBLE: DOUBLE}.get(value)
        elif number in (4, 5, 6) and isinstance(value, bytes):  # content, float_val, double_val
            content = value
    if form is None or content is None or len(content) != form.size:
        return None
    return float(form.unpack(content)[0])
