"""Patterns: which outputs of an activation function are positive, for which examples.

    C_gj     examples of group g at which output j is positive; exact whole numbers
    masks    the same for a few examples, for pairs of them

Outputs are all those of one example, channels times positions. Of more than UNITS an even
selection is taken, which is another mean over j and no other quantity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dyntools.activations.selection import step_of

UNITS = 1 << 14  # outputs of one site that are followed: 2 MB of counts and masks; chosen
GROUPS = 8  # of examples, for the standard error; tells it to 1/√14 = 27 %; chosen
PAIRS = 28  # Fernández-Hernández et al. 2025: 8 · 7 / 2
SEED = 0  # of the pairs, and of the groups
OF_OUTPUT = "the first axis of its output does not count the examples"


def jackknife_error(without: Sequence[float] | NDArray[np.float64]) -> float:
    """One standard error of an estimate, from those without each of GROUPS equal groups."""
    return math.sqrt((len(without) - 1) * float(np.var(without)))


@dataclass(frozen=True)
class Examples:
    """What is asked of the examples of a probe, by their numbers.

    pairs: of numbers.
    """

    count: int
    pairs: tuple[tuple[int, int], ...]

    @classmethod
    @lru_cache(maxsize=16)  # drawing takes a millisecond
    def of(cls, count: int) -> Examples:
        every = count * (count - 1) // 2
        if every <= PAIRS:
            return cls(count, tuple(combinations(range(count), 2)))
        drawn, generator = set[tuple[int, int]](), np.random.default_rng(SEED)
        while len(drawn) < PAIRS:
            i, j = sorted(generator.choice(count, 2, replace=False).tolist())
            drawn.add((i, j))
        return cls(count, tuple(sorted(drawn)))

    @cached_property
    def paired(self) -> tuple[int, ...]:
        return tuple(sorted({number for pair in self.pairs for number in pair}))

    def groups(self, numbers: range) -> Tensor:
        """The group of each, (b,)."""
        return drawn_groups(self.count)[numbers.start : numbers.stop]


@lru_cache(maxsize=16)  # drawing takes a millisecond for 50,000
def drawn_groups(count: int) -> Tensor:
    """Of so many examples (count,): parts of equal size, drawn once for all steps and layers.

    Drawn, as data may lie in the order of their classes, and groups would differ by that order.
    """
    drawn = np.random.default_rng(SEED).permutation(count)
    return torch.as_tensor(GROUPS * drawn // max(count, 1))


def followed(output: Tensor, examples: int) -> Tensor:
    """An even selection of at most UNITS outputs of each example, (b, n), in one piece.

    Where the first axis of the output does not count examples, of all of it, (1, n).
    """
    fits = output.ndim > 0 and len(output) % examples == 0
    rows = output.reshape(examples if fits else 1, -1)
    return rows[:, :: step_of(rows.shape[1], UNITS)].contiguous()  # comparing is then faster


def positive(outputs: Tensor) -> Tensor:
    """1 where an output is above zero, else 0, in float32: faster than a boolean and a cast."""
    return torch.gt(outputs, 0, out=outputs.new_empty(outputs.shape, dtype=torch.float32))


@dataclass(eq=False)
class Patterns:
    """The sums over one site; `refused` says why there are none.

    outputs: d of one example; step: every so-manieth is followed.
    """

    examples: Examples
    outputs: int = 0
    step: int = 1
    counts: Tensor | None = None
    sizes: Tensor = field(default_factory=lambda: torch.zeros(GROUPS, dtype=torch.int64))
    masks: dict[int, Tensor] = field(default_factory=dict)
    refused: str = ""

    def add(self, output: Tensor, on: Tensor, numbers: range) -> None:
        """output: (b, …), or (b · k, …) with the parts of an example one after another.

        on: which of those `followed` are positive, (b, n).
        """
        if self.refused:
            return
        if output.ndim == 0 or len(output) % len(numbers):
            self.refused = OF_OUTPUT
            return
        outputs = output.numel() // len(numbers)
        if self.counts is None:
            self.outputs, self.step = outputs, step_of(outputs, UNITS)
            self.counts = on.new_zeros(GROUPS, on.shape[1])
        elif outputs != self.outputs:
            self.refused = "examples have different numbers of outputs there"
            return
        groups = self.examples.groups(numbers)
        self.sizes += torch.bincount(groups, minlength=GROUPS)
        of_group = torch.nn.functional.one_hot(groups, GROUPS).T.to(self.counts)
        self.counts.addmm_(of_group, on)  # exact below 2²⁴ examples
        wanted = [number for number in self.examples.paired if number in numbers]
        rows = torch.tensor(wanted, dtype=torch.int64, device=on.device) - numbers.start
        self.masks.update(zip(wanted, on.index_select(0, rows) > 0, strict=True))


@dataclass(frozen=True)
class Indicator:
    """OUI of one site.

    every: over all pairs, with its standard error. pairs: clamped, over PAIRS of them.
    """

    every: float
    error: float
    pairs: float
    outputs: int


def indicator(patterns: Patterns) -> Indicator:
    """The site's numbers. To be asked where nothing was refused and there are two examples."""
    assert patterns.counts is not None
    counts, sizes = patterns.counts.double(), patterns.sizes
    total, n = counts.sum(0), int(sizes.sum())
    every = _mean_distance(total, n)
    filled = [g for g in range(GROUPS) if sizes[g] > 0 and n - int(sizes[g]) >= 2]
    without = [_mean_distance(total - counts[g], n - int(sizes[g])) for g in filled]
    error = math.nan
    if len(without) == GROUPS:
        error = jackknife_error(without)
    d = counts.shape[1]
    half = max(d // 2, 1)
    distances = [
        min(int((patterns.masks[i] != patterns.masks[j]).sum()), half) / half
        for i, j in patterns.examples.pairs
    ]
    return Indicator(every, error, float(np.mean(distances)), patterns.outputs)


def _mean_distance(counts: Tensor, n: int) -> float:
    """(2/d) Σ_j 2 c_j (n - c_j) / (n (n - 1)): twice the share of outputs that differ."""
    return float((counts * (n - counts)).mean()) * 4.0 / (n * (n - 1))
