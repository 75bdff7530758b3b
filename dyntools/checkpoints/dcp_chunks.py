"""Tensors and objects of a distributed checkpoint, each put together from its chunks when read.

A chunk is an archive of torch.save somewhere in a `.distcp` file. Opening looks only at where it
lies; its own header is read with its tensor, and must say what the metadata say.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from dyntools.checkpoint import Entry
from dyntools.checkpoints.dcp_metadata import Item, Place
from dyntools.checkpoints.dtypes import ITEMSIZE
from dyntools.checkpoints.extent import refuse_another, version_of
from dyntools.checkpoints.inert import TensorRef
from dyntools.checkpoints.pieces import Block, from_blocks
from dyntools.checkpoints.torch_file import load
from dyntools.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor


def check_files(path: Path, items: Mapping[str, Item]) -> None:
    sizes: dict[str, int] = {}
    for name, item in items.items():
        for place in item.places.values():
            if place.file not in sizes:
                file = path / place.file
                sizes[place.file] = file.stat().st_size if file.is_file() else -1
            if place.start + place.length > sizes[place.file]:
                missing = sizes[place.file] < 0
                raise CheckpointError(
                    "a file of the checkpoint is missing or cut off",
                    where=str(path),
                    found=f"no {place.file}" if missing else f"{place.file} ends before {name}",
                )


def item_tensor(path: Path, item: Item, *, mmap: bool) -> Entry:
    if item.dtype is None:
        raise CheckpointError("an object where a tensor was expected", where=str(path))
    blocks = [
        Block(offset, _chunk(path, place, item.dtype, item.chunks.get(offset, ()), mmap=mmap))
        for offset, place in item.places.items()
    ]
    return from_blocks(item.shape, item.dtype, blocks, (str(path), *item.path))


def _chunk(path: Path, place: Place, dtype: str, shape: tuple[int, ...], *, mmap: bool) -> Entry:
    if prod(shape) * ITEMSIZE[dtype] > place.length:
        raise CheckpointError("a chunk larger than its bytes", where=str(path), found=str(shape))

    version = version_of((path / place.file).stat())

    def read() -> Tensor:
        refuse_another(path / place.file, (path / place.file).stat(), version)
        file = load(path / place.file, place.start, place.length)
        if not isinstance(file.root, TensorRef):
            raise CheckpointError("a chunk that holds no tensor", where=str(file.path))
        if (file.root.dtype, file.root.shape) != (dtype, shape):
            raise CheckpointError(
                "a chunk that is not what the metadata say",
                where=str(file.path),
                found=f"{file.root.dtype} {file.root.shape} for {dtype} {shape}",
            )
        return file.entry(file.root, mmap=mmap).read()

    return Entry(shape, dtype, read)


def item_value(path: Path, item: Item, *, mmap: bool) -> object:
    """The value of an item that is no tensor, or the number in one of a single element."""
    if item.dtype is not None:
        return (
            item_tensor(path, item, mmap=mmap).read().item() if item.shape in ((), (1,)) else None
        )
    place = item.places.get(())
    return load(path / place.file, place.start, place.length).root if place else None
