"""Steps: a horizontal axis for the steps of a run, logarithmic where the steps were chosen so.

The positions are computed here and not by an axis scale of matplotlib, so that step 0 has a place
on a logarithmic axis, the cells of a heat map have exact edges, and a page needs no matplotlib.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dyntools.views.numbers import tick

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST_RANGE = 30.0  # largest over smallest positive step below which an axis stays linear; chosen


@dataclass(frozen=True)
class StepScale:
    """first: the smallest positive step, where a logarithmic axis begins; last: its end."""

    logarithmic: bool
    first: float
    last: float

    def __call__(self, steps: ArrayLike) -> NDArray[np.float64]:
        """Positions of steps, (n,). Logarithmic: decades from `first` at 1, with 0 at 0."""
        numbers = np.asarray(steps, dtype=np.float64)
        if not self.logarithmic:
            return numbers
        return np.where(numbers > 0, 1 + np.log10(np.maximum(numbers, 1) / self.first), 0.0)

    def edges(self, steps: ArrayLike) -> NDArray[np.float64]:
        """Borders of the cells around steps, half-way to the neighbours, (n + 1,)."""
        places = self(steps)
        if len(places) == 1:
            return np.array([places[0] - 0.5, places[0] + 0.5])
        middle = (places[:-1] + places[1:]) / 2
        ends = 2 * places[0] - middle[0], 2 * places[-1] - middle[-1]
        return np.array([ends[0], *middle, ends[1]])

    def decades(self) -> list[float]:
        """The steps marked on a logarithmic axis: 0 and the powers of ten within it."""
        low, high = math.ceil(math.log10(self.first)), math.floor(math.log10(self.last))
        return [0.0, *(10.0**k for k in range(low, high + 1))]

    def mark(self, axes: Axes, unit: str) -> None:
        """Ticks and the label of the axis."""
        from matplotlib.ticker import MaxNLocator

        axes.set_xlabel(unit)
        if self.logarithmic:
            ticks = self.decades()
        else:
            ticks = [t for t in MaxNLocator(6, integer=True).tick_values(0, self.last) if t >= 0]
            ticks = [t for t in ticks if t <= self.last]
        axes.set_xticks(self(ticks).tolist(), [tick_of_step(t) for t in ticks])


def scale_of(steps: ArrayLike) -> StepScale:
    """Logarithmic if the steps grow by factors more evenly than by differences."""
    numbers = np.unique(np.asarray(steps, dtype=np.float64))
    positive = numbers[numbers > 0]
    if len(positive) < 4 or positive[-1] < LEAST_RANGE * positive[0]:
        return StepScale(False, 1.0, float(numbers[-1]) if len(numbers) else 1.0)
    spread = _spread(np.diff(np.log(positive))), _spread(np.diff(positive))
    return StepScale(bool(spread[0] < spread[1]), float(positive[0]), float(positive[-1]))


def _spread(gaps: NDArray[np.float64]) -> float:
    return float(np.std(gaps) / np.mean(gaps))


def tick_of_step(step: float) -> str:
    whole = f"{step:.0f}"
    return whole if len(whole) <= 4 else tick(step)
