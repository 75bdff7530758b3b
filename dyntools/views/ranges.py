"""Ranges: which values the ends of a colour scale stand for.

Diverging about 0 if there are both signs, in decades if positive and wide, and never stretched by
one outlier.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dyntools.views.quantities import DECADES


@dataclass(frozen=True)
class ColourRange:
    """low, high: at the ends. cut: "neither", "min", "max" or "both" ends have values beyond."""

    low: float
    high: float
    logarithmic: bool = False
    diverging: bool = False
    cut: str = "neither"

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Positions from 0 to 1; what lies beyond an end is at it, NaN stays."""
        with np.errstate(invalid="ignore", divide="ignore"):
            scaled = np.log(values) if self.logarithmic else values / 2
            ends = np.array([self.low, self.high])
            low, high = np.log(ends) if self.logarithmic else ends / 2  # halves cannot overflow
            return np.asarray(np.clip((scaled - low) / (high - low), 0.0, 1.0))


def colour_range(values: NDArray[np.float64], decades: float = DECADES) -> ColourRange:
    """The range for these values; `decades` from which on a positive one is logarithmic."""
    known = values[np.isfinite(values)]
    if not len(known):
        return ColourRange(0.0, 1.0)
    low, high = float(known.min()), float(known.max())
    bottom, top = np.percentile(known, [1, 99])
    if low > 0 and top > bottom * 10**decades:
        return ColourRange(low, high, logarithmic=True)
    cut_low, cut_high = low < bottom - (top - bottom), high > top + (top - bottom)
    low, high = float(bottom) if cut_low else low, float(top) if cut_high else high
    ends = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}
    cut = ends[int(cut_low), int(cut_high)]
    if low < 0 < high and min(-low, high) > 0.1 * max(-low, high):
        most = max(-low, high)
        return ColourRange(-most, most, diverging=True, cut=cut)
    return ColourRange(low, high if high > low else low + (abs(low) or 1.0), cut=cut)
