"""Writers of tiny logs, from the descriptions of the formats, sharing no code with the readers."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from dyntools.log import Log

Point = tuple[str, int, float]


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    groups = []
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def crc32c(data: bytes) -> int:
    """CRC-32C bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def tfrecord(data: bytes) -> bytes:
    def masked(part: bytes) -> bytes:
        crc = crc32c(part)
        return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)

    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + b"\0\0\0\0"


def fixed64(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<d", value)


def tf_event(point: Point, wall: float = 1.7e9, form: str = "simple") -> bytes:
    tag, step, scalar = point
    if form == "simple":
        content = varint(2 << 3 | 5) + struct.pack("<f", scalar)
    else:
        kind = {"float": 1, "double": 2, "float_val": 1}[form]
        raw = struct.pack("<d" if form == "double" else "<f", scalar)
        content = field(8, field(1, kind) + field(5 if form == "float_val" else 4, raw))
    summary = field(1, field(1, tag.encode()) + content)
    return tfrecord(fixed64(1, wall) + field(2, step) + field(5, summary))


def tf_file(points: Iterable[Point], form: str = "simple", wall: float = 1.7e9) -> bytes:
    version = tfrecord(fixed64(1, 1.7e9) + field(3, b"brain.Event:2"))
    return version + b"".join(tf_event(point, wall, form) for point in points)


def wandb_file(rows: Iterable[dict[str, object]]) -> bytes:
    data = bytearray(b":W&B\xe1\xbe\x00")
    for row in rows:
        items = (
            field(1, field(2, name.encode()) + field(16, json.dumps(value).encode()))
            for name, value in row.items()
        )
        record, first = field(1, 7) + field(2, b"".join(items)), True
        while record or first:
            room = 32768 - len(data) % 32768
            if room < 7:
                data += b"\0" * room
                continue
            chunk, record = record[: room - 7], record[room - 7 :]
            kind = (1 if first else 4) if not record else (2 if first else 3)
            crc = zlib.crc32(bytes([kind]) + chunk)
            data += struct.pack("<IHB", crc, len(chunk), kind) + chunk
            first = False
    return bytes(data)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Writes a file below a fresh folder."""

    def make(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


@pytest.fixture
def events() -> Callable[..., bytes]:
    return tf_file


@pytest.fixture
def offline() -> Callable[..., bytes]:
    return wandb_file


def points_of(log: Log) -> dict[str, list[tuple[int, float]]]:
    return {
        name: list(zip(curve.steps.tolist(), curve.values.tolist(), strict=True))
        for name, curve in log.curves.items()
    }


@pytest.fixture
def points() -> Callable[[Log], dict[str, list[tuple[int, float]]]]:
    """Curves as lists of (step, value)."""
    return points_of


@pytest.fixture
def flip_law() -> Callable[[bytes, Path, Callable[[Path], Log]], None]:
    """A file with any one byte changed raises nothing."""

    def law(data: bytes, path: Path, reader: Callable[[Path], Log]) -> None:
        for at, byte in enumerate(data):
            for changed in (0, 255, byte ^ 1, byte ^ 128):
                path.write_bytes(data[:at] + bytes([changed]) + data[at + 1 :])
                reader(path)

    return law


@pytest.fixture
def cut_law() -> Callable[[bytes, Path, Callable[[Path], Log]], None]:
    """A file cut at any byte raises nothing and holds only points of the whole file."""

    def law(data: bytes, path: Path, reader: Callable[[Path], Log]) -> None:
        path.write_bytes(data)
        whole = {name: dict(found) for name, found in points_of(reader(path)).items()}
        assert whole
        for end in range(len(data)):
            path.write_bytes(data[:end])
            for name, found in points_of(reader(path)).items():
                for step, value in found:
                    assert name in whole, (end, name)
                    assert np.array_equal(whole[name].get(step), value, equal_nan=True), (end, name)

    return law
