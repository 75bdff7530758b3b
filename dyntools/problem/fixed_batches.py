"""Fixed batches: what a loader gives, drawn once and kept, its inputs and targets told apart.

A loader that shuffles is drawn from once, from a seed of torch that is always the same; so the
examples are the same ones whenever the same code runs. Its own generator and torch's go on
afterwards as if nobody had drawn. Random numbers of others (NumPy's, Python's) are not seen to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from dyntools.errors import ProblemError
from dyntools.problem.batches import Batch, nbytes, plain, tensors
from dyntools.problem.memory import free_memory

CPU = torch.device("cpu")
SEED = 0  # of the one draw; chosen
SHARE = 4  # a quarter of the free memory may be kept, as a probe may; chosen
TARGETS = ("labels", "label", "targets", "target", "y")  # what dictionaries call them

Targets = Callable[[Batch], Any]


def fixed_batches(loader: Iterable[Batch], most: int | None = None) -> list[Batch]:
    """The first `most` batches of a loader, or all of them.

    Raises ProblemError when it is no loader, holds nothing, or more than a quarter of the free
    memory.
    """
    _is_a_loader(loader)
    if most is not None and most < 1:
        raise ProblemError("The number of batches is at least one.", found=f"batches={most}")
    kept: list[Batch] = []
    room, taken = free_memory(CPU) // SHARE, 0
    with _drawn_apart(loader):
        for batch in islice(iter(loader), most):
            kept.append(plain(batch))
            taken += nbytes(kept[-1])
            if taken > room:
                raise ProblemError(
                    "The loader gives more than may be kept in memory.",
                    found=f"{len(kept)} batches of {taken / 2**20:.0f} MiB so far",
                    remedy="batches=10; a few hundred to a few thousand examples are usual",
                )
    if not kept:
        raise ProblemError(
            "The loader gives no batch.",
            found=type(loader).__name__,
            remedy="a list or a DataLoader; an iterator that was read to its end is empty",
        )
    return kept


def targets_of(batch: Batch) -> Any:
    """The second of a pair, or what a dictionary calls labels, targets or y. Raises ProblemError"""
    if isinstance(batch, Mapping):
        name = next((name for name in TARGETS if name in batch), None)
        if name is not None:
            return batch[name]
    elif isinstance(batch, tuple | list) and len(batch) == 2:
        return batch[1]
    raise ProblemError(
        "Which part of a batch holds the targets cannot be told.",
        found=described(batch),
        remedy="batches of (inputs, targets), a dictionary with `labels`, or"
        " targets=lambda batch: …",
    )


def inputs_of(batch: Batch) -> Batch:
    """A dictionary without its targets; any other batch as it is."""
    if not isinstance(batch, Mapping):
        return batch
    return {name: value for name, value in batch.items() if name not in TARGETS}


def checked_targets(batches: Iterable[Batch], targets: Targets) -> Iterator[Tensor]:
    """The targets of every batch. Raises ProblemError when some are no tensor of its length."""
    for batch in batches:
        found = targets(batch)
        count = next((len(t) for t in tensors(batch) if t.ndim > 0), 0)
        if not isinstance(found, Tensor) or found.ndim == 0 or len(found) != count:
            raise ProblemError(
                "The targets of a batch are no tensor with one row for each example.",
                found=f"targets {described(found)} in a batch {described(batch)}",
                remedy="the batches of a DataLoader, not the examples of a data set; or"
                " targets=lambda batch: …",
            )
        yield found


def described(found: object, depth: int = 0) -> str:
    """A batch or an output in a few words: shapes and dtypes."""
    if isinstance(found, Tensor):
        return f"{tuple(found.shape)} {str(found.dtype).removeprefix('torch.')}"
    if isinstance(found, Mapping) and depth < 2:
        parts = [f"{key}: {described(value, depth + 1)}" for key, value in found.items()]
        return "{" + ", ".join(parts[:6]) + "}"
    if isinstance(found, tuple | list) and depth < 2:
        return f"{type(found).__name__} of " + "; ".join(
            described(item, depth + 1) for item in found[:6]
        )
    return type(found).__name__


def _is_a_loader(loader: object) -> None:
    tuple_of_tensors = isinstance(loader, tuple) and all(isinstance(t, Tensor) for t in loader)
    if tuple_of_tensors or isinstance(loader, Tensor | Mapping | str):
        raise ProblemError(
            "This is one batch, or none, and no loader of batches.",
            found=described(loader),
            remedy="[(inputs, targets)]: a list of batches, or a DataLoader",
        )
    if not isinstance(loader, Iterable):
        raise ProblemError(
            "Batches cannot be drawn from this.",
            found=type(loader).__name__,
            remedy="a list of batches, or a DataLoader of the data set",
        )


@contextmanager
def _drawn_apart(loader: object) -> Iterator[None]:
    """Torch's numbers on the CPU start from SEED inside; all generators are put back behind it."""
    holders = (loader, getattr(loader, "sampler", None))
    found = (getattr(holder, "generator", None) for holder in holders)
    own = [(g, g.get_state()) for g in found if isinstance(g, torch.Generator)]
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(SEED)  # torch.manual_seed would reach GPUs too
            yield
    finally:
        for generator, state in own:
            generator.set_state(state)
