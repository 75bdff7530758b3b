"""Axes: where values and steps lie in a plot of the page, and which of them are marked.

Values lie on a linear axis, or on one of decades; steps on the axis of `views.steps`. Marks are at
1, 2, 2.5 or 5 times a power of ten, as far apart as the room asks for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dyntools.views.numbers import tick
from dyntools.views.steps import StepScale, scale_of, tick_of_step

ROOM = 0.06  # of the range, left free at both ends; chosen
NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
LARGEST = 1.7e308  # just below the largest float
DECADE_ROOM = 1.3  # factor left free at both ends of an axis of decades; chosen


@dataclass(frozen=True)
class Axis:
    """low, high: at the ends, which are at 0 and 1."""

    low: float
    high: float
    logarithmic: bool = False

    def __call__(self, values: ArrayLike) -> NDArray[np.float64]:
        """Positions; NaN for what the axis cannot hold."""
        numbers = np.asarray(values, dtype=np.float64)
        low, high = self.low, self.high
        if self.logarithmic:
            numbers = np.where(numbers > 0, numbers, np.nan)
            return np.asarray(np.log(numbers / low) / math.log(high / low))
        return np.asarray((numbers / 2 - low / 2) / (high / 2 - low / 2))  # halves cannot overflow

    def marks(self, most: int = 5) -> list[tuple[float, str]]:
        """Position and text of each mark, at most `most` + 1."""
        found = decades(self.low, self.high, most) if self.logarithmic else []
        found = found if len(found) > 1 else even(self.low, self.high, most)
        return [(float(self(x)), tick(x)) for x in found if self.low <= x <= self.high]


def axis_for(values: ArrayLike, logarithmic: bool = False) -> Axis:
    """An axis that shows all finite values with some room."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if logarithmic:
        known = known[known > 0]
        if len(known):
            return Axis(known.min() / DECADE_ROOM, known.max() * DECADE_ROOM, True)
    if not len(known):
        return Axis(0.0, 1.0)
    low, high = float(known.min()), float(known.max())
    half = high / 2 - low / 2  # the range itself may overflow
    room = 2 * ROOM * half if half > 0 else 0.5 * abs(high) or 1.0
    floor, top = max(low - room, -LARGEST), min(high + room, LARGEST)
    return Axis(0.0 if floor < 0 <= low else floor, top)


def even(low: float, high: float, most: int) -> list[float]:
    """Round numbers from low to high, at most `most` + 1 of them."""
    width = high / max(most, 1) - low / max(most, 1)
    if not (width > 0 and math.isfinite(width)):
        return [low]
    power = 10.0 ** math.floor(math.log10(width))
    step = next(nice for nice in NICE if nice * power >= width * (1 - 1e-9)) * power
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12 - math.floor(math.log10(step))) for i in range(first, last + 1)]


def decades(low: float, high: float, most: int) -> list[float]:
    """Powers of ten from low to high, every second or third where there are many."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    stride = max(1, math.ceil((last - first + 1) / most))
    return [10.0**k for k in range(first, last + 1, stride)]


@dataclass(frozen=True)
class Steps:
    """The horizontal axis of a plot against steps; the ends of `scale` are at 0 and 1."""

    scale: StepScale
    low: float
    high: float

    def __call__(self, steps: ArrayLike) -> NDArray[np.float64]:
        return np.asarray((self.scale(steps) - self.low) / (self.high - self.low))

    def edges(self, steps: ArrayLike) -> NDArray[np.float64]:
        """Borders of cells around steps, (n + 1,), from 0 to 1."""
        edges = self.scale.edges(steps)
        return np.asarray((edges - edges[0]) / (edges[-1] - edges[0]))

    def marks(self, most: int = 5) -> list[tuple[float, str]]:
        """Position and text of each mark."""
        if self.scale.logarithmic:
            found = self.scale.decades()
            if self.low > 0:
                found = found[1:]
        else:
            found = [x for x in even(self.low, self.high, most) if float(x).is_integer()]
        places = [(float(self([x])[0]), tick_of_step(x)) for x in found]
        return [(x, text) for x, text in places if -1e-9 <= x <= 1 + 1e-9]


def steps_axis(steps: Sequence[int] | NDArray[np.int64]) -> Steps:
    """The axis for these steps, at least one."""
    scale = scale_of(steps)
    places = scale(steps)
    low, high = float(places.min()), float(places.max())
    return Steps(scale, low, high) if high > low else Steps(scale, low - 0.5, low + 0.5)
