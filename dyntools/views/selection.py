"""Selection: which steps and which entries of a series a view shows.

A layer pattern knows `*` and `?` only: brackets are literal, for a part of a fused tensor is named
`c_attn.weight[query]`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fnmatch import translate
from re import compile as pattern

import numpy as np
from numpy.typing import NDArray

from dyntools.errors import ReportError, nearest
from dyntools.measurement import Status
from dyntools.report import Series
from dyntools.views.numbers import label

LAYER = "layer"


def present(series: Series) -> NDArray[np.bool_]:
    """Where a measurement was tried, shape (S, …): neither skipped nor absent."""
    return np.asarray((series.status != Status.skipped) & (series.status != Status.absent))


def measured_rows(series: Series) -> NDArray[np.intp]:
    """The rows of the steps at which anything was tried; all rows if nothing ever was."""
    tried = present(series).reshape(len(series.steps), -1).any(axis=1)
    return np.flatnonzero(tried) if tried.any() else np.arange(len(series.steps))


def ends(series: Series, step: int | None) -> tuple[int, int]:
    """The first and the last (or chosen) row that hold anything."""
    rows = measured_rows(series)
    return int(rows[0]), int(rows[-1]) if step is None else series.index(step)


def rows_shown(
    series: Series, step: int | None, most: int | None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows that hold anything, and those shown: evenly chosen, the last always among them."""
    rows = measured_rows(series) if step is None else np.array([series.index(step)])
    if most is None or len(rows) <= most:
        return rows, rows
    return rows, rows[np.unique(np.linspace(0, len(rows) - 1, most).round().astype(int))]


def at(series: Series, row: int) -> str:
    """`step 500`."""
    return f"{series.step_unit} {series.steps[row]}"


def entries(series: Series) -> tuple[str, ...]:
    """The labels of the first dim, as text."""
    return tuple(label(x) for x in series.coords[series.dims[0]])


def with_layers(series: Series, glob: str | None) -> Series:
    """The series restricted to the layers like `glob`; unchanged if it has no layers."""
    if glob is None or LAYER not in series.dims:
        return series
    labels = series.coords[LAYER]
    return taken(series, LAYER, [i for i, x in enumerate(labels) if like(str(x), glob)])


def with_step(series: Series, step: int | None) -> Series:
    """The series restricted to one step; to none if it was not measured there."""
    if step is None:
        return series
    kept = np.flatnonzero(series.steps == step)
    return replace(
        series,
        steps=series.steps[kept],
        values=series.values[kept],
        error=None if series.error is None else series.error[kept],
        status=series.status[kept],
        beside={key: array[kept] for key, array in series.beside.items()},
        seconds=series.seconds[kept],
        matvecs=series.matvecs[kept],
        method=tuple(series.method[i] for i in kept),
    )


def like(name: str, glob: str) -> bool:
    return pattern(translate(glob.replace("[", "[[]"))).match(name) is not None


def no_such_layer(glob: str, all_series: Iterable[Series]) -> ReportError:
    """The error for a pattern that no layer of these series is like."""
    known = {str(x) for series in all_series for x in series.coords.get(LAYER, ())}
    return ReportError(f"No layer is like {glob!r}.", remedy=nearest(glob, known) or None)


def taken(series: Series, dim: str, positions: list[int] | int) -> Series:
    """The series restricted to some entries of a dim; one position drops the dim."""
    axis = series.dims.index(dim) + 1

    def take(array: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.take(array, positions, axis=axis)

    coords = dict(series.coords)
    if isinstance(positions, int):
        del coords[dim]
    else:
        coords[dim] = tuple(series.coords[dim][i] for i in positions)  # type: ignore[assignment]
    return replace(
        series,
        dims=tuple(name for name in series.dims if name in coords),
        coords=coords,
        values=take(series.values),
        error=None if series.error is None else take(series.error),
        status=np.take(series.status, positions, axis=axis),
        beside={key: take(array) for key, array in series.beside.items()},
    )
