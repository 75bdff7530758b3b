"""Maps: a metric of every layer at every step as colour, for the page.

Order, names and colour range are those of `views`; what a map is made of is in `cells`. Columns are
equally wide, for each is a checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dyntools.page.cells import (
    UNKNOWN,
    Stroke,
    Told,
    each_cell,
    each_row,
    encoded,
    levels,
    light,
    strokes_of,
    text_of,
)
from dyntools.page.frames import (
    LEFT_MOST,
    RIGHT,
    TOP,
    WIDTH,
    colour_bar,
    column_marks,
    labels,
    partings,
)
from dyntools.page.plot import LETTER, Label, Mark
from dyntools.report import Series
from dyntools.views.arrangement import NAMED, Row, arranged
from dyntools.views.dims import in_order, plural, words
from dyntools.views.names import printable, shorten
from dyntools.views.numbers import label, tick
from dyntools.views.quantities import quantity
from dyntools.views.ranges import ColourRange, colour_range
from dyntools.views.selection import entries, measured_rows, rows_shown

MOST_STEPS, MOST_ROWS = 40, 400  # columns and rows drawn; the table tells of the rest; chosen
NAMED_STEPS, MARKED = 12, 6  # columns up to which each is named; else so many; chosen
NAME_LETTERS = 40  # of a name that is told; the table has it in full
TITLED = 700  # cells, up to which each tells its value to the pointer without a script; chosen
ROW, HEIGHT = 15.0, 380.0  # units: of a row, and of a map at most
MOST_WRITTEN = 8  # columns up to which there is room for numbers in the cells of a label map


@dataclass(frozen=True)
class Map:
    """A map as plain data; lengths in units of the view box, partings in rows."""

    title: str
    description: str
    left: float
    width: float
    height: float
    rows: int
    strokes: tuple[Stroke, ...]
    written: tuple[Label, ...]  # the numbers, where there is room for them
    whole: tuple[Stroke, ...]  # one over each row, where cells are too many to tell theirs
    partings: tuple[int, ...]
    names: tuple[Label, ...]
    across: tuple[Mark, ...]
    slant: float  # units that slanted names of columns reach further down; 0 where they are level
    x_label: str
    bar: tuple[tuple[str, str], ...]
    bar_label: str
    hatched: bool
    told: Told
    remark: str

    name = "map"


def heat_map(series: Series, title: str = "") -> Map:
    """A map of a series with one dim of names: its layers against its steps."""
    kept = rows_shown(series, None, MOST_STEPS)[1]
    rows, remark = _rows(entries(series))
    if len(kept) < len(measured_rows(series)):
        said = f"{len(kept)} of {len(measured_rows(series))} steps are drawn"
        remark = f"{said}; {remark}" if remark else said
    positions = [row.position for row in rows]
    values, status = series.values[kept][:, positions].T, series.status[kept][:, positions].T
    at = [str(step) for step in series.steps[kept]]
    marked = range(len(at))
    if len(at) > NAMED_STEPS:
        marked = np.unique(np.linspace(0, len(at) - 1, MARKED).round().astype(int)).tolist()
    across = [((i + 0.5) / len(at), at[i]) for i in marked]
    return _map(
        series,
        title or f"{series.metric}: {printable(series.what)}",
        (rows, values, status),
        [printable(f"{series.step_unit} {step}") for step in at],
        (across, printable(series.step_unit)),
        colour_range(values),
        remark,
    )


def label_map(series: Series, title: str = "") -> Map:
    """A map of a series with two dims: its layers against the names of the second, at the end."""
    row = int(measured_rows(series)[-1])
    rows, remark = _rows(entries(series))
    labels = series.coords[series.dims[1]]
    columns = in_order(labels)
    if len(columns) > MOST_STEPS:
        columns = [columns[i] for i in np.linspace(0, len(columns) - 1, MOST_STEPS).astype(int)]
    chosen = np.ix_([one.position for one in rows], columns)
    values, status = series.values[row][chosen], series.status[row][chosen]
    names = [printable(label(labels[j])) for j in columns]
    across = [((i + 0.5) / len(names), name) for i, name in enumerate(names)]
    at = f"at {series.step_unit} {series.steps[row]}"
    return _map(
        series,
        title or f"{series.metric}: {printable(series.what)}",
        (rows, values, status),
        names,
        (across, words(series.dims[1])),
        colour_range(values, decades=1.0),  # these are ratios and errors, as in `views.label_map`
        f"{at}; {remark}" if remark else at,
        roomy=len(rows) <= NAMED and len(columns) <= MOST_WRITTEN,
    )


def _rows(names: Sequence[str]) -> tuple[tuple[Row, ...], str]:
    """The rows drawn, and what is said where these are not all."""
    rows = arranged(names)
    if len(rows) <= MOST_ROWS:
        return rows, ""
    kept = np.linspace(0, len(rows) - 1, MOST_ROWS).round().astype(int)
    return tuple(rows[i] for i in kept), f"{MOST_ROWS} of {len(rows)} rows are drawn"


def _map(
    series: Series,
    title: str,
    cells: tuple[Sequence[Row], NDArray[np.float64], NDArray[np.int8]],
    columns: Sequence[str],
    horizontal: tuple[list[tuple[float, str]], str],
    found: ColourRange,
    remark: str,
    roomy: bool = False,
) -> Map:
    rows, values, status = cells
    across, x_label = horizontal
    height = min(ROW * len(rows), HEIGHT)
    names = shorten([entries(series)[row.position] for row in rows], NAME_LETTERS).names
    names_of_rows = labels(series, rows, height)
    left = min(LEFT_MOST, LETTER * max((len(one.text) for one in names_of_rows), default=0) + 8)
    shown = [[text_of(v, s) for v, s in zip(*pair, strict=True)]
             for pair in zip(values.tolist(), status.tolist(), strict=True)]  # fmt: skip
    level = levels(found, values, status)
    few = level.size <= TITLED
    strokes = each_cell(level, names, columns, shown) if few else strokes_of(level)
    marked, slant = column_marks(across, left, roomy)
    return Map(
        title=title,
        description=_described(series, values, found),
        left=left,
        width=WIDTH,
        height=height,
        rows=len(rows),
        strokes=tuple(strokes),
        written=_written(level, shown, left, height) if roomy else (),
        whole=() if few else each_row(names, shown),
        partings=partings(rows),
        names=names_of_rows,
        across=marked,
        slant=slant,
        x_label=x_label,
        bar=colour_bar(found),
        bar_label=quantity(series),
        hatched=bool((level == UNKNOWN).any()),
        told=Told(names, tuple(columns), *encoded(shown)),
        remark=remark,
    )


def _described(series: Series, values: NDArray[np.float64], found: ColourRange) -> str:
    rows, columns = values.shape
    return (
        f"{rows} {plural(series.dims[0])} by {columns} columns, {np.isfinite(values).sum()} "
        f"numbers from {tick(found.low)} to {tick(found.high)}; the table below has them as text."
    )


def _written(
    level: NDArray[np.int64], shown: Sequence[Sequence[str]], left: float, height: float
) -> tuple[Label, ...]:
    """The number of each cell in its middle, dark on what is light."""
    rows, columns = level.shape
    wide, high = (WIDTH - left - RIGHT) / columns, height / rows
    return tuple(
        Label(left + (j + 0.5) * wide, TOP + (i + 0.5) * high, shown[i][j],
              "on-light" if light(int(level[i, j])) else "on-dark")
        for i, j in np.ndindex(*level.shape)
        if level[i, j] >= 0
    )  # fmt: skip
