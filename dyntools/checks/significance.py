"""Significance: whether a change beyond its tolerance is larger than chance and error bars.

Every route tests "the true change is at most the tolerance t" and gives an interval of the change.
With one report a side the change d is normal with the standard error s of both sides, after their
bounds b have been taken off: p = Phi((t + b - |d|) / s) + Phi((-t - b - |d|) / s). With several a
side it is a permutation test of the difference in means, the new samples moved by the tolerance,
so that at the edge of the tolerance the samples are exchangeable (Pitman 1937,
doi:10.2307/2984124). Few reports have few outcomes, and a limit on both sides with a tolerance
smaller than their scatter could be broken by either extreme one: there the far tail is that of the
mirror image. With one against several it is Student's prediction: t with n - 1 degrees,
scatter s sqrt(1 + 1/n). All arrays are over E checks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from dyntools.checks.permutations import tail_share

Floats = NDArray[np.float64]
Sides = NDArray[np.int8]
LEVEL = 0.05  # of all tests of a check together; convention, Fisher 1925
NORMAL = 1e9  # degrees of freedom; Student's t is the normal distribution to rounding


@dataclass(frozen=True, eq=False)
class Tested:
    """p of "no change beyond the tolerance", and what makes an interval of the change; all (E,).

    scatter: the standard error of the change. degrees: of Student's t, infinite for the normal
    distribution. effect: Cliff's delta, NaN where one side has one report. mirrored: whether the
    mirror image of what was seen counts as much; welch: p of Welch's test (1947); both only where
    reports are permuted.
    """

    p: Floats
    scatter: Floats
    degrees: Floats
    effect: Floats
    mirrored: NDArray[np.bool_] | None = None
    welch: Floats | None = None

    def quantile(self, tail: Floats) -> Floats:
        """How many standard errors leave the share `tail` (E,) above."""
        return np.asarray(stdtrit(np.minimum(self.degrees, NORMAL), 1 - tail))


def of_error_bars(change: Floats, tolerance: Floats, scatter: Floats, sides: Sides) -> Tested:
    """One report a side.

    sides: 0 for a change either way, 1 for a rise alone, -1 for a fall alone.
    """
    degrees = np.full(change.shape, np.inf)
    p = _tails(change, tolerance, scatter, sides, degrees)
    return Tested(p, scatter, degrees, np.full(change.shape, np.nan))


def of_prediction(
    change: Floats, tolerance: Floats, samples: Floats, others: int, sides: Sides
) -> Tested:
    """Several samples (n, E) on one side; on the other one report, or (others = 0) a bound."""
    n = len(samples)
    scatter = np.std(samples, axis=0, ddof=1) * np.sqrt(1 / n + others)
    degrees = np.full(change.shape, n - 1.0)
    p = _tails(change, tolerance, scatter, sides, degrees)
    if others:  # n reports that all agree leave the one other a chance of 1 in n + 1 by its rank
        p = np.where(scatter > 0, p, np.maximum(p, 1 / (n + 1)))
    return Tested(p, scatter, degrees, np.full(change.shape, np.nan))


def of_seeds(before: Floats, now: Floats, tolerance: Floats, sides: Sides, seed: int = 0) -> Tested:
    """Several samples a side: (n, E) and (m, E). The interval is that of Welch 1947.

    p is 1 for a change within its tolerance: it is counted out only where it can matter.
    """
    n, m = len(before), len(now)
    change = now.mean(axis=0) - before.mean(axis=0)
    p = np.ones(len(change))
    beyond = np.flatnonzero(np.where(sides == 0, np.abs(change), change * sides) > tolerance)
    if len(beyond):
        p[beyond] = _permuted(
            before[:, beyond], now[:, beyond], tolerance[beyond], sides[beyond], seed
        )
    v, w = np.var(before, axis=0, ddof=1) / n, np.var(now, axis=0, ddof=1) / m
    spread = v**2 / (n - 1) + w**2 / (m - 1)
    degrees = np.where(spread > 0, (v + w) ** 2 / np.where(spread > 0, spread, 1), n + m - 2.0)
    scatter = np.sqrt(v + w)
    welch = _tails(change, tolerance, scatter, sides, degrees)
    twice = mirrored(before, now, tolerance, sides)
    return Tested(p, scatter, degrees, cliffs_delta(before, now), twice, welch)


def mirrored(before: Floats, now: Floats, tolerance: Floats, sides: Sides) -> NDArray[np.bool_]:
    """Whether the mirror image of what was seen, all reports exchanged, counts as much, (E,).

    The samples are moved by the edge of the tolerance that is next to the change, so which edge
    depends on them. With a tolerance t well above the scatter only one edge can be crossed by
    chance. With a small one either can, and both together would fail twice as often as the level
    allows. The border, 2 t against the range within a side, is chosen; no source.
    """
    within = np.maximum(np.ptp(before, axis=0), np.ptp(now, axis=0))
    return np.asarray((sides == 0) & (2 * tolerance <= within))


def _permuted(before: Floats, now: Floats, tolerance: Floats, sides: Sides, seed: int) -> Floats:
    """P(a change as large | the true one lies at the edge of the tolerance next to it), (E,)."""
    n, m = len(before), len(now)
    observed = now.mean(axis=0) - before.mean(axis=0)
    shift = np.sign(observed) * tolerance
    pooled = np.concatenate([before, now - shift])
    pooled -= pooled.mean(axis=0)  # the sum of all is then 0, so a change is (1/n + 1/m) · sum
    weight = 1 / n + 1 / m
    # A rounding error must not make a tie, such as the observed way itself, a smaller change.
    slack = 1e-9 * np.abs(pooled).max(axis=0)
    up = (np.abs(observed) - shift) / weight - slack
    down = (-np.abs(observed) - shift) / weight + slack
    low = np.where(sides <= 0, down, -np.inf)
    high = np.where(sides >= 0, up, np.inf)
    size = (np.abs(observed) - tolerance) / weight - slack
    twice = mirrored(before, now, tolerance, sides)
    low, high = np.where(twice, -size, low), np.where(twice, size, high)
    return np.minimum(tail_share(pooled, m, low, high, seed), 1.0)


def _tails(
    change: Floats, tolerance: Floats, scatter: Floats, sides: Sides, degrees: Floats
) -> Floats:
    """P(a change as large is seen | the true one lies at the edge of the tolerance)."""
    size = np.where(sides == 0, np.abs(change), change * sides)
    degrees = np.minimum(degrees, NORMAL)
    spread = np.where(scatter > 0, scatter, 1.0)
    near = stdtr(degrees, (tolerance - size) / spread)
    far = np.where(sides == 0, stdtr(degrees, (-tolerance - size) / spread), 0.0)
    known = np.where(size > tolerance, 0.0, 1.0)  # no scatter: the comparison itself
    return np.asarray(np.where(scatter > 0, near + far, known))


def cliffs_delta(before: Floats, now: Floats) -> Floats:
    """P(now > before) - P(now < before) over all pairs, (E,): -1 to 1 (Cliff 1993)."""
    pairs = np.sign(now[:, None, :] - before[None, :, :])
    return np.asarray(pairs.mean(axis=(0, 1)))


def holm(p: Floats, family: NDArray[np.bool_]) -> Floats:
    """p adjusted over the checks of a family (Holm 1979); the others stay as they are."""
    adjusted = p.copy()
    inside = np.flatnonzero(family)
    order = inside[np.argsort(p[inside], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return adjusted
