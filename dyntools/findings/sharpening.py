"""Sharpening: whether the sharpness rises at one learning rate, below its threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dyntools.findings.sharpness import BELOW_EDGE, SAME_RATE, Sharpness

FEWEST = 4  # measured steps at one rate; chosen
GROWN = 1.5  # times the first, between the nearer bounds; chosen
TAU = 0.6  # Kendall's rank correlation with the steps: four of five pairs rise; chosen


def sharpens(one: Sharpness) -> bool:
    """Whether it rises at the rate of the last step, and is not at the edge yet."""
    start = constant_since(one.rates)
    if len(one.steps) - start < FEWEST or not one.highest[-1] < BELOW_EDGE:
        return False
    grown = one.low[-1] > GROWN * one.high[start] > 0
    return bool(grown and kendall(one.values[start:]) >= TAU)


def constant_since(rates: NDArray[np.float64]) -> int:
    """The first measured step from which the rate is that of the last."""
    other = np.flatnonzero(np.abs(rates - rates[-1]) > SAME_RATE * rates[-1])
    return int(other[-1]) + 1 if len(other) else 0


def kendall(values: NDArray[np.float64]) -> float:
    """Rising minus falling pairs, over all pairs."""
    i, j = np.triu_indices(len(values), 1)
    return float(np.sign(values[j] - values[i]).mean())
