"""Joint: one p for each of many checks, by exchanging whole reports (Westfall & Young 1993, max T).

Few reports allow few ways to exchange them, and Holm's correction multiplies the smallest p by the
number of checks: 5 reports against 5 give no p below 2/252, so over 50 checks nothing could ever be
shown. Here the same way is taken in all checks at once, and p is the share of ways in which the
largest statistic of all checks is at least the observed one of this check. That keeps the level
over all checks too, whatever their dependence, and its smallest p does not know how many there are.
The statistic is Student's t of the change beyond its tolerance, since a maximum needs one scale.
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from dyntools.checks.significance import mirrored

MOST_WAYS = 5_000  # all ways up to 7 against 7; chosen, no source
DRAWS = 2_000  # random ways beyond; the smallest p is then 0.0005
AT_ONCE = 4_000_000  # numbers of a table of ways × checks; 32 MB

Floats = NDArray[np.float64]


def smallest_p(before: int, now: int) -> float:
    """The observed way and one more: its mirror image, or that of a check within its tolerance."""
    count = math.comb(before + now, now)
    return 2 / count if count <= MOST_WAYS else 2 / (DRAWS + 1)


def reports_needed(level: float) -> int | None:
    """The smallest n for which n against n reports could reach a level; None where none could."""
    n = 2
    while math.comb(2 * n, n) <= MOST_WAYS:
        if smallest_p(n, n) <= level:
            return n
        n += 1
    return n if smallest_p(n, n) <= level else None


def of_max(
    before: Floats, now: Floats, tolerance: Floats, sides: NDArray[np.int8], seed: int = 0
) -> Floats:
    """p (E,) over all checks together; samples (n, E) and (m, E), sides as in `significance`."""
    n, m = len(before), len(now)
    table = _ways(n, m, seed)
    largest = np.full(len(table), -np.inf)
    observed = np.empty(before.shape[1])
    chunk = max(1, AT_ONCE // len(table))
    for start in range(0, before.shape[1], chunk):
        at = slice(start, start + chunk)
        found = _statistics(table, before[:, at], now[:, at], tolerance[at], sides[at])
        observed[at] = found[0]  # the first way is the observed one
        largest = np.maximum(largest, found.max(axis=1))
    finite = np.where(np.isfinite(observed), observed, 0.0)
    slack = 1e-9 * np.abs(finite)  # so that rounding does not make a tie a smaller change
    ranked = np.sort(largest)
    reached = len(ranked) - np.searchsorted(ranked, observed - slack, side="left")
    return np.asarray(reached / len(ranked))


def _ways(n: int, m: int, seed: int) -> Floats:
    """(W, n + m), 1 for a new report; the first row is the observed way."""
    observed = np.arange(n, n + m)[None, :]
    if math.comb(n + m, m) <= MOST_WAYS:
        rows = np.array(list(combinations(reversed(range(n + m)), m)))  # the observed way first
    else:
        generator = np.random.default_rng(seed)
        drawn = np.argsort(generator.random((DRAWS, n + m)), axis=1)[:, :m]
        rows = np.concatenate([observed, drawn])
    table = np.zeros((len(rows), n + m))
    np.put_along_axis(table, rows, 1.0, axis=1)
    return table


def _statistics(
    table: Floats, before: Floats, now: Floats, tolerance: Floats, sides: NDArray[np.int8]
) -> Floats:
    """Student's t of the change beyond the tolerance, for each way and check, (W, E)."""
    n, m = len(before), len(now)
    observed = now.mean(axis=0) - before.mean(axis=0)
    edge = np.where(sides == 0, np.where(observed < 0, -1.0, 1.0), sides)
    pooled = np.concatenate([before, now - edge * tolerance])
    pooled -= pooled.mean(axis=0)
    apart = (table @ pooled) * (1 / n + 1 / m)
    # The sum of squares within the two groups, from the whole one and what lies between them.
    whole = np.sum(pooled**2, axis=0)
    within = np.maximum(whole - apart**2 / (1 / n + 1 / m), 1e-12 * whole)
    scatter = np.sqrt(within / (n + m - 2) * (1 / n + 1 / m))
    far = np.where(mirrored(before, now, tolerance, sides), 0.0, 2 * tolerance)
    beyond = np.where(sides == 0, np.maximum(edge * apart, -edge * apart - far), sides * apart)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = beyond / scatter
    return np.asarray(np.where(scatter > 0, t, np.where(beyond > 0, np.inf, -np.inf)))
