"""Profiles: of a metric with an axis of numbers, or with one step, what a figure of it shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dyntools.report import Series
from dyntools.views.numbers import number
from dyntools.views.quantities import DECADES

MOST = 9  # panels; chosen
RELATIVE = "relative_"
STEPS_DRAWN = 12
MOST_DOTS = 60  # layers at a single step; of more, those with the largest and smallest values
COMPARED = ("null", "initial")  # companions that stand beside such a value, the first there is


def led(series: Series) -> Series:
    """With a first dim of a single nameless entry where there is only the axis."""
    if len(series.dims) > 1:
        return series
    return replace(
        series,
        dims=("", *series.dims),
        coords={"": ("",), **series.coords},
        values=series.values[:, None],
        error=None if series.error is None else series.error[:, None],
        status=series.status[:, None],
        beside={key: array[:, None] for key, array in series.beside.items()},
    )


def unit_of(series: Series, row: int, entry: int) -> str:
    """What 1 stands for on a relative axis, if the series has its absolute companion."""
    dim = series.dims[-1]
    absolute = series.beside.get(dim.removeprefix(RELATIVE))
    if not dim.startswith(RELATIVE) or absolute is None:
        return ""
    end = float(absolute[row, entry, -1]) / float(series.coords[dim][-1])
    return f"   1 = {number(end)} at {series.step_unit} {series.steps[row]}"


def most_changed(series: Series, first: int, last: int) -> NDArray[np.intp]:
    """At most MOST layers, in their own order."""
    with np.errstate(invalid="ignore", over="ignore"):
        change = np.nansum((series.values[last] - series.values[first]) ** 2, axis=-1)
    return np.sort(np.argsort(-change, kind="stable")[:MOST])


def limits(
    series: Series, rows: NDArray[np.intp], chosen: NDArray[np.intp]
) -> tuple[float, float, bool]:
    """The smallest and largest value, and whether an axis of decades suits them."""
    values = series.values[np.ix_(rows, chosen)]
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0, False
    positive = known[known > 0]
    # A density is zero, or lost below the smallest float, over most of its axis.
    most = len(positive) > 0.9 * len(known) or (len(positive) > 0 and known.min() >= 0)
    wide = most and positive.max() > positive.min() * 10**DECADES
    floor = max(float(positive.min()), float(positive.max()) * 1e-6) if wide else known.min()
    return float(floor), float(known.max()), bool(wide)


def steps_drawn(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """At most STEPS_DRAWN of these rows, evenly chosen, both ends among them."""
    kept = np.unique(np.linspace(0, len(rows) - 1, STEPS_DRAWN).round().astype(int))
    return np.asarray(rows[kept])


def extremes(values: NDArray[np.float64]) -> list[int]:
    """All layers in their own order, or half of MOST_DOTS from each end of the values."""
    if len(values) <= MOST_DOTS:
        return list(range(len(values)))
    order = np.argsort(values, kind="stable").tolist()
    order = [i for i in order if np.isfinite(values[i])]
    return sorted({*order[: MOST_DOTS // 2], *order[-MOST_DOTS // 2 :]})
