"""What a file written by `torch.save` holds: its structure now, its tensors when they are read.

Both layouts are read by the same inert machine (`unpickle`): the zip since torch 1.6, whose records
lie uncompressed in the file, and the older sequence of pickles with the storages behind it. Since
several formats ask about the same file, the structure of the last one is remembered; it is small,
holds no tensor, and nobody changes it.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from dyntools.checkpoint import Entry
from dyntools.checkpoints.dtypes import ITEMSIZE
from dyntools.checkpoints.extent import Extent, Version, contiguous_stride, entry, version_of
from dyntools.checkpoints.inert import TensorRef
from dyntools.checkpoints.torch_legacy import legacy_contents
from dyntools.checkpoints.torch_zip import zip_contents
from dyntools.checkpoints.zip_records import Record
from dyntools.errors import CheckpointError

ZIP_MAGIC = b"PK\3\4"
_PICKLE_MAGIC = b"\x80"


@dataclass(frozen=True, eq=False)
class TorchFile:
    """The object stored in a file, and where its storages are.

    limit: no tensor may reach beyond this byte. kind: "torch zip" or "torch legacy".
    """

    path: Path
    kind: str
    root: object
    storages: Mapping[str, Record]
    limit: int
    byteorder: str = "little"
    version: Version | None = None

    def entry(self, ref: TensorRef, *, mmap: bool) -> Entry:
        """The entry of a tensor of this file."""
        return entry(self._extent(ref), self.limit, mmap=mmap)

    def part(self, ref: TensorRef, begin: int, length: int, *, mmap: bool) -> Entry:
        """Elements `begin` to `begin + length` of a tensor, in row-major order, shape (length,)."""
        if ref.stride != contiguous_stride(ref.shape):
            raise CheckpointError("part of a tensor that is not contiguous", where=str(self.path))
        flat = TensorRef(ref.storage, ref.dtype, ref.offset + begin, (length,), (1,))
        return self.entry(flat, mmap=mmap)

    def _extent(self, ref: TensorRef) -> Extent:
        record = self.storages.get(ref.storage.key)
        if record is None:
            raise CheckpointError(
                "a tensor whose storage is missing",
                where=str(self.path),
                found=f"storage {ref.storage.key}",
            )
        begin = ref.storage.offset * ITEMSIZE[ref.storage.dtype] + ref.offset * ITEMSIZE[ref.dtype]
        bare = Extent(self.path, record.offset + begin, ref.dtype, ref.shape, ref.stride)
        if begin + bare.nbytes > record.nbytes:
            raise CheckpointError(
                "a tensor larger than its storage", where=str(self.path), found=f"{ref.shape}"
            )
        crc = record.crc if (begin, bare.nbytes) == (0, record.nbytes) else None
        return replace(bare, byteorder=self.byteorder, crc=crc, version=self.version)


def load(path: Path, start: int = 0, length: int | None = None) -> TorchFile:
    """The structure of a file, or of the archive in `length` bytes of it from `start`."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe waits for its writer
            raise CheckpointError("not a regular file")
        length = status.st_size - start if length is None else length
        return _load(path, start, length, version_of(status))
    except CheckpointError as error:
        raise CheckpointError(
            error.what, where=str(path), found=error.found, remedy=error.remedy
        ) from error
    except OSError as error:
        raise CheckpointError(
            "the file cannot be read", where=str(path), found=str(error)
        ) from error


@lru_cache(maxsize=1)
def _load(path: Path, start: int, length: int, version: Version) -> TorchFile:
    with path.open("rb") as file:
        file.seek(start)
        magic = file.read(4)
    if magic == ZIP_MAGIC:
        root, storages, order = zip_contents(path, start, length)
        return TorchFile(path, "torch zip", root, storages, start + length, order, version)
    if magic.startswith(_PICKLE_MAGIC) and start == 0:
        root, storages = legacy_contents(path, length)
        return TorchFile(path, "torch legacy", root, storages, length, version=version)
    found = f"a file that begins with {magic!r}" if magic else "an empty file"
    raise CheckpointError("not a file of torch.save", found=found)
