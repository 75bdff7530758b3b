"""Tensors that lie in several places: cut into blocks by rank, or end to end in flat buffers.

An entry made here reads its pieces one after another into its own memory, so it costs itself and
one piece. That the pieces cover the tensor exactly is checked when the entry is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod
from typing import TYPE_CHECKING

from dyntools.checkpoint import Entry
from dyntools.checkpoints.inert import TensorRef
from dyntools.checkpoints.torch_file import TorchFile
from dyntools.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Block:
    """A rectangular part of a tensor and where it begins."""

    offset: tuple[int, ...]
    entry: Entry


@dataclass(frozen=True)
class Stored:
    """A tensor in a file, read as a flat run of elements."""

    file: TorchFile
    ref: TensorRef

    @property
    def numel(self) -> int:
        return prod(self.ref.shape)


def from_blocks(
    shape: tuple[int, ...], dtype: str, blocks: Sequence[Block], storage: tuple[object, ...]
) -> Entry:
    """One tensor from blocks that tile it."""
    if not _tile(shape, blocks):
        raise CheckpointError(
            "the chunks of a tensor do not cover it exactly: the checkpoint is not complete",
            found=f"{len(blocks)} chunks for the shape {shape}",
        )

    def read() -> Tensor:
        import torch

        if len(blocks) == 1:
            return blocks[0].entry.read()
        whole = torch.empty(shape, dtype=getattr(torch, dtype))
        for block in blocks:
            place = tuple(
                slice(start, start + length)
                for start, length in zip(block.offset, block.entry.shape, strict=True)
            )
            whole[place] = block.entry.read()
        return whole

    return Entry(shape, dtype, read, storage)


def from_run(
    run: Sequence[Stored],
    begin: int,
    shape: tuple[int, ...],
    storage: tuple[object, ...],
    *,
    mmap: bool,
) -> Entry:
    """The elements from `begin` on of tensors laid end to end, as one tensor of `shape`."""
    parts: list[Entry] = []
    position, end = 0, begin + prod(shape)
    for stored in run:
        first, last = max(begin, position), min(end, position + stored.numel)
        if first < last:
            flat = stored.file.part(stored.ref, first - position, last - first, mmap=mmap)
            parts.append(flat)
        position += stored.numel
    return joined(parts, shape, storage)


def joined(parts: Sequence[Entry], shape: tuple[int, ...], storage: tuple[object, ...]) -> Entry:
    """Flat parts end to end as one tensor; what the last has too much is padding."""
    if sum(prod(part.shape) for part in parts) < prod(shape):
        raise CheckpointError(
            "the ranks of the checkpoint hold fewer elements than the tensor has",
            found=f"shape {shape}",
        )
    dtypes = {part.dtype for part in parts}
    if len(dtypes) != 1:
        raise CheckpointError("ranks that store one tensor in several types", found=str(dtypes))

    def read() -> Tensor:
        import torch

        pieces = [part.read().flatten() for part in parts]
        flat = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
        return flat[: prod(shape)].reshape(shape)

    return Entry(shape, dtypes.pop(), read, storage)


def _tile(shape: tuple[int, ...], blocks: Sequence[Block]) -> bool:
    """Inside, disjoint, and as many elements as the whole: then nothing is left uncovered."""
    filled = [block for block in blocks if prod(block.entry.shape)]
    for block in filled:
        if not len(block.offset) == len(block.entry.shape) == len(shape):
            return False
        ends = zip(block.offset, block.entry.shape, shape, strict=True)
        if any(start < 0 or start + length > whole for start, length, whole in ends):
            return False
    if any(_overlap(a, b) for a, b in combinations(filled, 2)):
        return False
    return sum(prod(block.entry.shape) for block in filled) == prod(shape)


def _overlap(a: Block, b: Block) -> bool:
    return all(
        max(i, j) < min(i + m, j + n)
        for i, m, j, n in zip(a.offset, a.entry.shape, b.offset, b.entry.shape, strict=True)
    )
