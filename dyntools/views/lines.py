"""Lines: which lines a plot of a metric against steps has, how they are named, and their axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dyntools.report import Series
from dyntools.views.dims import choice, is_index, words
from dyntools.views.names import shorten
from dyntools.views.quantities import DECADES
from dyntools.views.selection import entries, measured_rows

FEW = 9  # lines that can be told apart and named; chosen
NAME_LETTERS = 30
FAR = 10.0  # times the largest of all lines; chosen: they would look flat beside it
THRESHOLD = "threshold"  # the companion, and the name of its line


def names_of(series: Series, letters: int = NAME_LETTERS) -> tuple[str, ...]:
    """Of an index the first with the name of its dim, and not more than can be read."""
    if not series.dims:
        return ("",)
    if not indexed(series):
        return shorten(entries(series), letters).names
    labels = list(entries(series))
    named = choice(series.coords[series.dims[0]], FEW)
    labels[0] = f"{words(series.dims[0])} {labels[0]}"
    return tuple(text if i in named else "" for i, text in enumerate(labels))


def lines_of(series: Series, array: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """(S, n) of an array over the measured steps."""
    rows = measured_rows(series)
    return None if array is None else array[rows].reshape(len(rows), -1)


def last_known(values: NDArray[np.float64], names: Sequence[str]) -> list[tuple[int, int]]:
    """Row and line of the last number of each line that has a name and a number; of (S, n)."""
    known = np.isfinite(values)
    named = [j for j, name in enumerate(names) if name and known[:, j].any()]
    return [(int(np.flatnonzero(known[:, j])[-1]), j) for j in named]


def nulls_of(series: Series) -> NDArray[np.float64]:
    """What chance gives for each line (n,) at the last step; NaN if not known, or too far off."""
    null = series.beside.get("null")
    if null is None:
        return np.full(series.values[0].size, np.nan)
    rows = measured_rows(series)
    last, lines = null[rows[-1]].reshape(-1), series.values[rows]
    largest = np.abs(lines[np.isfinite(lines)]).max(initial=0.0)
    return np.where(np.abs(last) > FAR * largest, np.nan, last)


def level_of(series: Series) -> NDArray[np.float64] | None:
    """The threshold of the first entry at each step, None where there is none."""
    lines = lines_of(series, series.beside.get(THRESHOLD))
    return None if lines is None or not np.isfinite(lines[:, 0]).any() else lines[:, 0]


def spans_decades(
    values: NDArray[np.float64],
    errors: NDArray[np.float64] | None,
    level: NDArray[np.float64] | None,
) -> bool:
    """Whether a logarithmic axis suits: more than DECADES, and every error band above zero."""
    lower = values if errors is None else values - np.nan_to_num(errors)
    if level is not None:
        values = np.column_stack([values, level])
    known, bottom = values[np.isfinite(values)], lower[np.isfinite(lower)]
    if not len(known) or bottom.min() <= 0:
        return False
    return bool(known.max() > known.min() * 10**DECADES)


def indexed(series: Series) -> bool:
    """Whether the first dim is of ranks or other whole numbers."""
    return bool(series.dims) and is_index(series.coords[series.dims[0]])
