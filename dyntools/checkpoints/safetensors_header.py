"""The header of a safetensors file, checked as the format's text demands.

Eight bytes of length, a JSON object, the tensors: https://github.com/huggingface/safetensors,
"Format". The text demands that no name comes twice, that the tensors fill the rest of the file
without holes or overlaps, and that the header has at most 100 MB.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import TypeGuard

from dyntools.checkpoint import Entry
from dyntools.checkpoints.dtypes import ITEMSIZE, SAFETENSORS
from dyntools.checkpoints.extent import Extent, contiguous_stride, entry, version_of
from dyntools.errors import CheckpointError

_MOST_HEADER = 100_000_000
_METADATA = "__metadata__"


def has_safetensors_header(path: Path) -> bool:
    """Whether a file begins with a length and a JSON object."""
    with path.open("rb") as file:
        start = file.read(9)
    return len(start) == 9 and start.endswith(b"{")


def safetensors_entries(path: Path, *, mmap: bool) -> dict[str, Entry]:
    """The tensors of a file by name, in the order of their bytes."""
    try:
        status = path.stat()
        size, version = status.st_size, version_of(status)
        header, begin = _header(path, size)
        ranges = sorted(
            (_range(name, value) for name, value in header.items() if name != _METADATA),
            key=lambda found: (found[0], found[1]),
        )
        end = 0
        for first, last, name, _, _ in ranges:
            if first != end:
                raise ValueError(f"a hole or an overlap before {name}")
            end = last
        if begin + end != size:
            raise ValueError(f"{size} bytes where header and tensors have {begin + end}")
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            "the safetensors file is truncated or damaged", where=str(path), found=str(error)[:200]
        ) from error
    return {
        name: entry(
            Extent(path, begin + first, dtype, shape, contiguous_stride(shape), version=version),
            size,
            mmap=mmap,
        )
        for first, _, name, dtype, shape in ranges
    }


def _header(path: Path, size: int) -> tuple[Mapping[str, object], int]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(_MOST_HEADER, size - 8):
            raise ValueError(f"a header of {length} bytes announced in a file of {size}")
        text = file.read(length).decode("utf-8")
    header = json.loads(text, object_pairs_hook=_without_duplicates)
    if not isinstance(header, dict):
        raise ValueError("a header that is no object")
    return header, 8 + length


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a name that comes twice")
    return found


def _range(name: str, value: object) -> tuple[int, int, str, str, tuple[int, ...]]:
    """First byte, last byte, name, dtype, shape."""
    if not isinstance(value, dict):
        raise ValueError(f"no description of {name}")
    shape, offsets = value.get("shape"), value.get("data_offsets")
    if not _is_sizes(shape) or not _is_sizes(offsets) or len(offsets) != 2:
        raise ValueError(f"{name} without a shape or without a place")
    if (kind := str(value.get("dtype"))) not in SAFETENSORS:
        raise ValueError(f"{name} of the type {kind}, which is not read here")
    dtype = SAFETENSORS[kind]
    if offsets[1] - offsets[0] != prod(shape) * ITEMSIZE[dtype]:
        raise ValueError(f"{name} with {offsets[1] - offsets[0]} bytes for the shape {shape}")
    return offsets[0], offsets[1], name, dtype, tuple(shape)


def _is_sizes(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(
        isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 1 << 62 for n in value
    )
