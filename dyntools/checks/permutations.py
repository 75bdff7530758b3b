"""Permutations: which of n + m reports play the baseline and which the new ones, in all ways.

Counted, not listed: the reports are cut into two halves, every subset of a half has its sum, and
for each subset of the one a bisection counts the subsets of the other that go with it. So all
C(20, 10) = 184,756 ways take 2 · 1,024 sums (the split of Horowitz & Sahni 1974,
doi:10.1145/321812.321823, for the tail of a permutation distribution). Beyond MOST_REPORTS a fixed
number of random ways stands for all; the observed way then counts as one more (Phipson & Smyth
2010, doi:10.2202/1544-6115.1585), so that p is never 0.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

MOST_REPORTS = 30  # of both sides; 2 · 32,768 sums, about 10 ms a check; chosen, no source
DRAWS = 20_000  # random ways beyond; p = 0.05 then has a standard error of 0.0015

Floats = NDArray[np.float64]


def tail_share(
    pooled: Floats, chosen: int, low: Floats, high: Floats, seed: int = 0
) -> NDArray[np.float64]:
    """Over all ways to choose so many of the N reports: the share with a sum ≤ low or ≥ high.

    pooled: (N, E). low, high: (E,), with low < high; -inf or inf leaves that tail out.
    """
    if len(pooled) > MOST_REPORTS:
        return _drawn(pooled, chosen, low, high, seed)
    total = math.comb(len(pooled), chosen)
    half = len(pooled) // 2
    count = np.zeros(pooled.shape[1])
    for size in range(max(0, chosen - len(pooled) + half), min(half, chosen) + 1):
        first = _subsets(half, size) @ pooled[:half]  # (subsets, E)
        rest = np.sort(_subsets(len(pooled) - half, chosen - size) @ pooled[half:], axis=0)
        for e in range(pooled.shape[1]):
            above = len(rest) - np.searchsorted(rest[:, e], high[e] - first[:, e], side="left")
            below = np.searchsorted(rest[:, e], low[e] - first[:, e], side="right")
            count[e] += above.sum() + below.sum()
    return count / total


@lru_cache(maxsize=64)
def _subsets(of: int, size: int) -> Floats:
    """(C(of, size), of), 1 for what a subset holds."""
    rows = list(combinations(range(of), size))
    table = np.zeros((len(rows), of))
    if size:
        np.put_along_axis(table, np.array(rows), 1.0, axis=1)
    return table


def _drawn(pooled: Floats, chosen: int, low: Floats, high: Floats, seed: int) -> Floats:
    generator = np.random.default_rng(seed)
    order = np.argsort(generator.random((DRAWS, len(pooled))), axis=1)[:, :chosen]
    table = np.zeros((DRAWS, len(pooled)))
    np.put_along_axis(table, order, 1.0, axis=1)
    extreme = np.empty(pooled.shape[1])
    for e in range(pooled.shape[1]):
        sums = table @ pooled[:, e]
        extreme[e] = np.count_nonzero((sums <= low[e]) | (sums >= high[e]))
    return (extreme + 1) / (DRAWS + 1)


def smallest_p(before: int, now: int, *, two_sided: bool) -> float:
    """The smallest p that any data could give: the observed way alone, or with its mirror image.

    The mirror image, all reports exchanged, exists only for equal numbers of them.
    """
    if before + now > MOST_REPORTS:
        return 1 / (DRAWS + 1)
    return (2 if two_sided and before == now else 1) / math.comb(before + now, now)


def reports_needed(level: float, *, two_sided: bool) -> int:
    """The smallest n for which n against n reports could reach a level; at most MOST_REPORTS."""
    n = 2
    while n < MOST_REPORTS // 2 and smallest_p(n, n, two_sided=two_sided) > level:
        n += 1
    return n
