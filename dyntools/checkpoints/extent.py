"""Bytes of a file as a tensor: exactly the bytes it needs, when it is asked for, and for that long.

An `Extent` is a range of a file with a dtype, shape and strides. Reading maps only that range,
privately (copy on write), and the mapping goes when the tensor goes; so reading a hundred tensors
one after another costs one. A single mapping of the whole file would keep every touched page in
resident memory. `mmap=False` reads into fresh memory instead: a mapped file that shrinks, or a
network file system that fails, kills the process with SIGBUS, where a read raises an error.
"""

from __future__ import annotations

import mmap as memory_map
import os
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from dyntools.checkpoint import Entry
from dyntools.checkpoints.dtypes import ITEMSIZE
from dyntools.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

# A tensor may be larger than its bytes, by strides of zero (`expand`). More than the file itself
# or this, whichever is larger, is an attack on memory and not a view. Chosen.
_LARGEST_EXPANSION = 1 << 24

Version = tuple[int, int, int]


@dataclass(frozen=True)
class Extent:
    """A tensor on disk: `offset` in bytes from the start of the file, strides in elements.

    crc: checksum of exactly these bytes, where the format keeps one. version: of the file when its
    header was read; the offset means nothing in another.
    """

    path: Path
    offset: int
    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    byteorder: str = "little"
    crc: int | None = None
    version: Version | None = None

    @property
    def numel(self) -> int:
        return prod(self.shape)

    @property
    def span(self) -> int:
        """Elements from the first to the last, both included."""
        if self.numel == 0:
            return 0
        return 1 + sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))

    @property
    def nbytes(self) -> int:
        return self.span * ITEMSIZE[self.dtype]


def version_of(status: os.stat_result) -> Version:
    """What differs when a file was rewritten or replaced: inode, size, time of modification."""
    return status.st_ino, status.st_size, status.st_mtime_ns


def refuse_another(path: Path, status: os.stat_result, version: Version | None) -> None:
    """Refuses a file that is not the one that was opened."""
    if version is not None and version_of(status) != version:
        raise CheckpointError(
            "the file changed after it was opened",
            where=str(path),
            remedy="run again when nothing writes to it",
        )


def contiguous_stride(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides of a row-major tensor, in elements."""
    return tuple(prod(max(n, 1) for n in shape[i + 1 :]) for i in range(len(shape)))


def entry(extent: Extent, limit: int, *, mmap: bool) -> Entry:
    """The entry of an extent whose bytes must end before `limit`."""
    check(extent, limit)
    identity = (str(extent.path), extent.offset, extent.dtype, extent.shape, extent.stride)
    return Entry(extent.shape, extent.dtype, lambda: read(extent, mmap=mmap), identity)


def check(extent: Extent, limit: int) -> None:
    """Refuses an extent that is not wholly inside the file, or unreasonably larger than it."""
    if extent.dtype not in ITEMSIZE:
        raise CheckpointError(f"no reader for tensors of type {extent.dtype}")
    numbers = (extent.offset, *extent.shape, *extent.stride)
    if any(number < 0 for number in numbers) or len(extent.shape) != len(extent.stride):
        raise CheckpointError("a tensor with a negative size, stride or offset")
    if extent.offset + extent.nbytes > limit:
        raise CheckpointError(
            "the file is shorter than its tensors: truncated, or its header is damaged",
            found=f"a tensor that ends at byte {extent.offset + extent.nbytes} of {limit}",
        )
    if extent.numel * ITEMSIZE[extent.dtype] > max(limit, _LARGEST_EXPANSION):
        raise CheckpointError(
            "a tensor declared larger than the file that holds it", found=f"shape {extent.shape}"
        )


def read(extent: Extent, *, mmap: bool) -> Tensor:
    """The tensor, fresh at each call and shared with nothing."""
    import torch

    dtype = getattr(torch, extent.dtype)
    if extent.numel == 0:
        return torch.empty(extent.shape, dtype=dtype)
    buffer, start = _bytes(extent, mmap=mmap)
    if extent.crc is not None and zlib.crc32(memoryview(buffer)[start:]) != extent.crc:
        raise CheckpointError(
            "a tensor does not match the checksum stored with it: its bytes changed on disk",
            where=str(extent.path),
            remedy="copy the file again from where it was written",
        )
    flat = torch.frombuffer(buffer, dtype=dtype, count=extent.span, offset=start)
    if extent.byteorder != sys.byteorder:
        flat.untyped_storage().byteswap(dtype)  # type: ignore[no-untyped-call]
    return flat.as_strided(extent.shape, extent.stride)


def _bytes(extent: Extent, *, mmap: bool) -> tuple[memory_map.mmap | bytearray, int]:
    """A writable private buffer and where in it the bytes begin; they reach to its end."""
    page = extent.offset % memory_map.ALLOCATIONGRANULARITY
    # Kernels assume aligned elements; a mapping cannot move bytes, and byteswap works on a whole
    # buffer, so both cases are read.
    aligned = page % ITEMSIZE[extent.dtype] == 0 and extent.byteorder == sys.byteorder
    try:
        with extent.path.open("rb", buffering=0) as file:
            refuse_another(extent.path, os.fstat(file.fileno()), extent.version)
            if mmap and aligned:
                length, begin = extent.nbytes + page, extent.offset - page
                access = memory_map.ACCESS_COPY
                return memory_map.mmap(file.fileno(), length, access=access, offset=begin), page
            file.seek(extent.offset)
            return _read_exactly(file, extent.nbytes), 0
    except (OSError, ValueError) as error:
        raise CheckpointError(
            "the file changed or vanished after it was opened",
            where=str(extent.path),
            found=str(error),
        ) from error


def _read_exactly(file: FileIO, nbytes: int) -> bytearray:
    buffer = bytearray(nbytes)
    view, done = memoryview(buffer), 0
    while done < nbytes:
        count = file.readinto(view[done:])
        if not count:
            raise OSError("the file ends early")
        done += count
    return buffer
