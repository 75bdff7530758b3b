"""Trend: is this short, noisy curve rising, and how fast? Two rank statistics, one of each kind.

    slope   = median over i < j of (y_j - y_i) / (x_j - x_i)                    Theil-Sen
    S       = sum over i < j of sign(y_j - y_i)                                 Mann-Kendall
    var(S)  = (n (n - 1)(2 n + 5) - sum over ties t (t - 1)(2 t + 5)) / 18 · spread
    spread  = 1 + 2 sum over k < n of (1 - k/n) r^k                             Yue & Wang
    z       = (S - sign S) / sqrt(var(S))

Ranks, because validation losses are few and a single bad batch must not decide. r is how much
neighbouring deviations from the Theil-Sen line correlate, 0 if negative: a loss that wanders looks
like a trend more often than one that only scatters. The slope's interval has no such correction.

Sen 1968, Estimates of the regression coefficient based on Kendall's tau,
doi:10.1080/01621459.1968.10480934. Mann 1945, Nonparametric tests against trend,
doi:10.2307/1907187. Yue & Wang 2004, The Mann-Kendall test modified by effective sample size,
doi:10.1023/B:WARM.0000043140.61082.60.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-9  # of the range: deviations from the line below that are rounding; chosen
NORMAL_975 = 1.959963984540054  # two-sided 95 %


@dataclass(frozen=True)
class Trend:
    """A slope per unit of x with its 95 % interval; NaN where the points do not allow one."""

    slope: float
    low: float
    high: float


def theil_sen(x: NDArray[np.float64], y: NDArray[np.float64]) -> Trend:
    """x, y: (n,), x strictly increasing. A slope needs 2 points, its interval 5."""
    n = len(x)
    if n < 2:
        return Trend(math.nan, math.nan, math.nan)
    i, j = np.triu_indices(n, 1)
    slopes = np.sort((y[j] - y[i]) / (x[j] - x[i]))
    # Sen's section 4: the interval runs between two order statistics of the pairwise slopes.
    reach = NORMAL_975 * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low, high = round((len(slopes) - reach) / 2) - 1, round((len(slopes) + reach) / 2)
    if low < 0:  # even the extreme slopes do not span 95 %
        return Trend(float(np.median(slopes)), math.nan, math.nan)
    return Trend(float(np.median(slopes)), float(slopes[low]), float(slopes[high]))


def mann_kendall(y: NDArray[np.float64]) -> float:
    """z of the values (n,) against "no trend", positive when they rise; NaN below 2 values."""
    n = len(y)
    if n < 2:
        return math.nan
    score = float(sum(np.sum(np.sign(y[i + 1 :] - y[i])) for i in range(n - 1)))
    ties = np.unique(y, return_counts=True)[1].astype(np.float64)
    variance = (n * (n - 1) * (2 * n + 5) - np.sum(ties * (ties - 1) * (2 * ties + 5))) / 18
    if variance == 0:
        return 0.0  # all values equal
    lags = np.arange(1, n)
    variance *= 1 + 2 * np.sum((1 - lags / n) * neighbour_correlation(y) ** lags)
    return (score - math.copysign(1.0, score) * (score != 0)) / math.sqrt(variance)


def neighbour_correlation(y: NDArray[np.float64]) -> float:
    """Correlation of neighbouring deviations from the Theil-Sen line, at least 0; 0 on a line."""
    x = np.arange(len(y), dtype=np.float64)
    residual = y - theil_sen(x, y).slope * x
    residual -= np.mean(residual)
    if not np.max(np.abs(residual), initial=0.0) > ROUNDING * np.ptp(y):
        return 0.0
    power = float(residual @ residual)
    return max(float(residual[1:] @ residual[:-1]) / power, 0.0) if power > 0 else 0.0
