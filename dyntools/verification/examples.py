"""Examples: which a verification trains on, in which order, and which it is judged by.

A fifth is held out, drawn once. The others are shuffled for each seed and cut into mini-batches,
shuffled anew when fewer than a mini-batch are left; the order depends on the seed alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils import _pytree as pytree

from dyntools.errors import ProblemError, UsageError
from dyntools.problem import Problem
from dyntools.problem.batches import Batch, is_along, rows, take
from dyntools.problem.probe import Probe, probe_of

HELD_OUT = 5  # one in so many examples; chosen
LEAST_STEPS = 8  # mini-batches in a pass, so that an order can matter; chosen
SPLIT_SEED = 0
Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Examples:
    """training, judged: numbers of examples in `source` and `judge`, which may be one probe.

    told: what is judged by, as the end of a sentence.
    """

    source: Probe
    training: Numbers
    judge: Probe
    judged: Numbers
    batch_size: int
    told: str

    def order(self, seed: int, steps: int) -> Iterator[list[Batch]]:
        """The mini-batches of a seed, each as one batch, or several where they do not join."""
        generator = np.random.default_rng(seed)
        waiting = np.empty(0, dtype=np.int64)
        for _ in range(steps):
            if len(waiting) < self.batch_size:
                waiting = generator.permutation(self.training)
            yield _gathered(self.source, waiting[: self.batch_size])
            waiting = waiting[self.batch_size :]

    def evaluation(self) -> Iterator[Batch]:
        """The examples that are judged by, in pieces of a mini-batch."""
        for part in np.split(
            self.judged, range(self.batch_size, len(self.judged), self.batch_size)
        ):
            yield from _gathered(self.judge, part)


def examples_of(
    problem: Problem,
    held_out: Problem | None,
    batch_size: int | None,
    device: torch.device,
) -> Examples:
    """The examples of a problem; those of `held_out`, where given, are judged by.

    batch_size: by default that of the problem's first batch, but at most an eighth of the examples.
    Raises ProblemError for too few examples, or more than are held in memory, and UsageError for a
    mini-batch that is larger than what is left to train on.
    """
    source = probe_of(problem, device, problem.engine.dtype)
    _refuse_unheld(source)
    numbers = np.arange(source.examples)
    if held_out is None:
        training, judged = _split(problem, numbers)
        judge, told = source, f"{len(judged)} examples of the problem, held out from these steps"
    else:
        judge = probe_of(held_out, device, problem.engine.dtype)
        _refuse_unheld(judge)
        training, judged = numbers, np.arange(judge.examples)
        told = f"the {len(judged)} examples of {held_out.source or 'the second problem'}"
    if batch_size is None:
        first = next(n for n in source.rows if n)
        batch_size = min(first, max(1, len(training) // LEAST_STEPS))
    if not 1 <= batch_size <= len(training):
        raise UsageError(
            "The mini-batches of a verification do not fit its examples.",
            found=f"{batch_size} of {len(training)}",
            remedy=f"a size from 1 to {len(training)}",
        )
    return Examples(source, training, judge, judged, batch_size, told)


def pooled(batches: Sequence[Batch], terms: Callable[[Batch], float]) -> list[tuple[Batch, float]]:
    """Batches with their shares of the mean over all of them; those without a term are left out."""
    counted = [(batch, terms(batch)) for batch in batches]
    total = math.fsum(count for _, count in counted)
    return [(batch, count / total) for batch, count in counted if count > 0]


def _split(problem: Problem, numbers: Numbers) -> tuple[Numbers, Numbers]:
    if len(numbers) < HELD_OUT:
        raise ProblemError(
            "There are too few examples to hold some out.",
            where=problem.source or None,
            found=str(len(numbers)),
            remedy=f"{HELD_OUT} or more in the problem, or others to judge by",
        )
    drawn = np.random.default_rng(SPLIT_SEED).permutation(numbers)
    count = len(numbers) // HELD_OUT
    return np.sort(drawn[count:]), np.sort(drawn[:count])


def _refuse_unheld(probe: Probe) -> None:
    if probe.held is None:
        raise ProblemError(
            "The examples are too many to be held in memory, and mini-batches are drawn from all.",
            where=probe.problem.source or None,
            found=f"{sum(probe.sizes) / 1e9:.1f} GB",
            remedy="fewer examples in the problem",
        )


def _gathered(probe: Probe, numbers: Numbers) -> list[Batch]:
    """These examples in this order, joined where their shapes allow it; else by source batch."""
    assert probe.held is not None
    parts, places = [], []
    for batch, (start, stop) in zip(probe.held, pairwise(probe.starts), strict=True):
        inside = np.flatnonzero((numbers >= start) & (numbers < stop))
        if len(inside):
            parts.append(take(batch, torch.from_numpy(numbers[inside] - start)))
            places.append(inside)
    whole = _joined(parts)
    if whole is None:
        return parts
    back = torch.from_numpy(np.argsort(np.concatenate(places)))
    return [take(whole, back)]


def _joined(parts: Sequence[Batch]) -> Batch | None:
    """One batch of several; None where structures, shapes or what they share differ."""
    flat = [pytree.tree_flatten(part) for part in parts]
    spec = flat[0][1]
    if any(other != spec for _, other in flat):
        return None
    counts = [rows(part) for part in parts]
    columns = [
        _column(column, counts) for column in zip(*(found for found, _ in flat), strict=True)
    ]
    if not all(columns):
        return None
    return pytree.tree_unflatten([leaf for column in columns for leaf in column], spec)


def _column(column: Sequence[object], counts: Sequence[int]) -> tuple[object, ...]:
    """The joined leaf, alone; nothing where the leaves do not join."""
    tensors = [leaf for leaf in column if isinstance(leaf, Tensor)]
    along = [is_along(leaf, n) for leaf, n in zip(column, counts, strict=True)]
    if all(along):
        return (torch.cat(tensors),) if len({t.shape[1:] for t in tensors}) == 1 else ()
    first = column[0]
    if any(along) or len(tensors) not in (0, len(column)):
        return ()
    if isinstance(first, Tensor):
        return (first,) if all(torch.equal(first, other) for other in tensors) else ()
    return (first,) if all(other == first for other in column) else ()
