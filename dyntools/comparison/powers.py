"""Powers: a quantity against the width, as a power law y = c x^a.

    log y = log c + a log x        least squares; standard error of a from the residuals,
                                   s² = RSS / (n - 2),  SE(a) = s / sqrt(sum (log x - mean)²)

Two points give a slope without an error. Points that are not positive have no logarithm and are
left out, and counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Power:
    """exponent with its standard error (NaN for two points); points used, and those left out."""

    exponent: float
    error: float
    points: int
    left_out: int

    @property
    def flat(self) -> bool | None:
        """Whether an exponent of zero lies within two standard errors; None where unknown."""
        if not math.isfinite(self.error):
            return None
        return abs(self.exponent) <= 2 * self.error


def power_law(x: ArrayLike, y: ArrayLike) -> Power:
    """Fit positive x (n,) and y (n,). NaN where fewer than two different x are left."""
    across, up = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    kept = np.isfinite(up) & (up > 0) & (across > 0)
    log_x, log_y = np.log(across[kept]), np.log(up[kept])
    n, left_out = len(log_x), int((~kept).sum())
    if len(np.unique(log_x)) < 2:
        return Power(math.nan, math.nan, n, left_out)
    centred = log_x - log_x.mean()
    squares = float(centred @ centred)
    slope = float(centred @ log_y) / squares
    residuals = log_y - log_y.mean() - slope * centred
    error = math.sqrt(float(residuals @ residuals) / (n - 2) / squares) if n > 2 else math.nan
    return Power(slope, error, n, left_out)
