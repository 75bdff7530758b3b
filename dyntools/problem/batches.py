"""Batches: tensors, or tuples, lists and dictionaries of them, whose first axis counts examples.

What is no tensor, and tensors of another length (a shared mask, say), go along unchanged. The first
tensor tells how many examples there are; a shared one of the same length is taken for one of theirs
and belongs into `forward`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree  # the one torch.func itself walks trees with

Batch = Any


def tensors(batch: Batch) -> Iterator[Tensor]:
    """The tensors of a batch, in order."""
    return (leaf for leaf in pytree.tree_leaves(batch) if isinstance(leaf, Tensor))


def rows(batch: Batch) -> int:
    """How many examples a batch holds: the length of the first tensor that has one, else 1."""
    return next((len(t) for t in tensors(batch) if t.ndim > 0), 1)


def is_along(leaf: object, count: int) -> bool:
    """Whether the first axis of a leaf counts the examples of a batch of `count`."""
    return isinstance(leaf, Tensor) and leaf.ndim > 0 and len(leaf) == count


def take(batch: Batch, index: slice | Tensor) -> Batch:
    """Some of the examples of a batch."""
    count = rows(batch)

    def cut(leaf: Any) -> Any:
        if is_along(leaf, count):
            return leaf[index.to(leaf.device) if isinstance(index, Tensor) else index]
        return leaf

    return pytree.tree_map(cut, batch)


def plain(batch: Batch) -> Batch:
    """A mapping of any class, such as a tokenizer's, as a dictionary."""
    return dict(batch) if isinstance(batch, Mapping) else batch


def placed(batch: Batch, device: torch.device, dtype: torch.dtype) -> Batch:
    """The batch on a device, its floating-point tensors in `dtype`."""

    def place(leaf: object) -> object:
        if not isinstance(leaf, Tensor):
            return leaf
        return leaf.detach().to(device, dtype if leaf.is_floating_point() else None)

    return pytree.tree_map(place, batch)


def nbytes(batch: Batch) -> int:
    """The memory of its tensors."""
    return sum(tensor.nbytes for tensor in tensors(batch))


def digest(batch: Batch) -> bytes:
    """A hash of structure, shapes, dtypes and values."""
    shared, examples = contents(batch)
    return hashlib.sha256(shared + examples).digest()


def contents(batch: Batch) -> tuple[bytes, bytes]:
    """What the examples of a batch share, and the examples one after another.

    The second of several batches is then that of one long batch, wherever it is cut.
    """
    count = rows(batch)
    shared, columns = hashlib.sha256(repr(pytree.tree_structure(batch)).encode()), []
    for leaf in pytree.tree_leaves(batch):
        if not isinstance(leaf, Tensor):
            shared.update(repr(leaf).encode())
            continue
        whole = leaf.detach().cpu().contiguous()
        shared.update(f"{whole.dtype}{tuple(whole.shape[1:])}".encode())
        raw = whole.reshape(-1).view(torch.uint8)
        if whole.ndim and len(whole) == count > 0:
            columns.append(raw.reshape(count, -1))
        else:
            shared.update(raw.numpy().tobytes())
    examples = torch.cat(columns, dim=1).numpy().tobytes() if columns else b""
    return shared.digest(), examples


def terms(batch: Batch) -> float:
    """Over how many terms a mean loss was taken, as far as the batch tells.

    A dictionary with `labels` is a language model's, which predicts each token from those before
    it: the labels behind the first position that are not -100. Otherwise, where the last tensor
    holds whole numbers, the targets that are not -100, which torch's losses ignore; else examples.
    """
    if isinstance(batch, dict) and isinstance(batch.get("labels"), Tensor):
        labels = batch["labels"]
        counted = labels[..., 1:] if labels.ndim > 1 else labels
        return float((counted != -100).sum())
    found = list(tensors(batch))
    if len(found) > 1 and not found[-1].is_floating_point() and found[-1].dtype != torch.bool:
        return float((found[-1] != -100).sum())
    return float(rows(batch))
