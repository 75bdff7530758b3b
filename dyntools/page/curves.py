"""Curves: a metric against the steps as a plot of the page, by the rules of `views.curves`.

Few layers or ranks, each named at the end of its line; bands are errors, a dashed line the
threshold. Every measured point tells its value to the pointer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dyntools.page.axes import Axis, Steps, axis_for, steps_axis
from dyntools.page.plot import (
    Box,
    Dot,
    Label,
    Path,
    Plot,
    band_of,
    colour_of,
    letters,
    marks,
    path_of,
)
from dyntools.report import Series
from dyntools.views.apart import apart
from dyntools.views.dims import chance
from dyntools.views.lines import (
    THRESHOLD,
    last_known,
    level_of,
    lines_of,
    names_of,
    nulls_of,
    spans_decades,
)
from dyntools.views.names import printable
from dyntools.views.numbers import number
from dyntools.views.quantities import quantity
from dyntools.views.selection import measured_rows

WIDTH, HEIGHT = 460.0, 240.0
LEFT, TOP, BELOW, GAP = 46.0, 26.0, 38.0, 12.0
NAME_LETTERS = 17  # of a name at the end of a line; the table has it in full
SPACING = 13.0  # units, from one name to the next
MOST_DOTS = 250  # points that tell their values; the table has the rest


def curves(series: Series, title: str = "") -> Plot:
    """A plot of a series without dims or with one of names or of an index."""
    values = lines_of(series, series.values)
    errors = lines_of(series, series.error)
    assert values is not None
    names = names_of(series, NAME_LETTERS)
    return draw(series, values, errors, names, level_of(series), title)


def draw(
    series: Series,
    values: NDArray[np.float64],
    errors: NDArray[np.float64] | None,
    names: Sequence[str],
    level: NDArray[np.float64] | None,
    title: str = "",
) -> Plot:
    """A plot of lines (S, n) over the measured steps; level (S,): the threshold."""
    at = series.steps[measured_rows(series)]
    null = _null(series, values.shape[1])
    steps, axis = steps_axis(at), _axis(np.vstack([values, null]), errors, level)
    named = [*names, THRESHOLD] if level is not None else list(names)
    right = letters(named) + GAP + 8 if any(named) else 14.0
    box = Box(LEFT, TOP, WIDTH - right, HEIGHT - BELOW)
    x, count = box.x(steps(at)), values.shape[1]
    lines = [Path(path_of(x, box.y(axis(values[:, j]))), colour_of(j, count)) for j in range(count)]
    ends = () if errors is None else (axis(values - errors), axis(values + errors))
    colours = [colour_of(j, count) for j in range(count)]
    if level is not None:
        lines.append(Path(path_of(x, box.y(axis(level))), "edge"))
        values, colours = np.column_stack([values, level]), [*colours, "edge"]
    found, up = steps.marks(), axis.marks()
    return Plot(
        title or f"{series.metric}: {printable(series.what)}",
        described(series, values, named),
        WIDTH,
        HEIGHT,
        box,
        marks(found, box.x([p for p, _ in found])),
        marks(up, box.y([p for p, _ in up])),
        printable(series.step_unit),
        quantity(series),
        _bands(x, *map(box.y, ends)) if ends else (),
        tuple(lines),
        _dots(series, steps, axis, box, values, named) + _nulls(series, axis, box, count),
        name_ends(box, x, box.y(axis(values)), named, colours),
        _remarks(series),
    )


def _bands(
    x: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[Path, ...]:
    """Between the ends (S, n) of the errors of each line that has any."""
    count = low.shape[1]
    found = (Path(band_of(x, low[:, j], high[:, j]), colour_of(j, count)) for j in range(count))
    return tuple(band for band in found if band.d)


def _axis(
    values: NDArray[np.float64],
    errors: NDArray[np.float64] | None,
    level: NDArray[np.float64] | None,
) -> Axis:
    """Made for the lines, and the nulls in the last row; bands of errors are cut where they end."""
    shown = values.ravel() if level is None else np.concatenate([values.ravel(), level])
    lines = values[:-1]
    return axis_for(shown, spans_decades(lines, errors, level))


def _null(series: Series, count: int) -> NDArray[np.float64]:
    """What chance gives for each of `count` lines at the last step; NaN where that is not known."""
    null = nulls_of(series)
    return null if len(null) == count else np.full(count, np.nan)


def described(series: Series, values: NDArray[np.float64], names: Sequence[str]) -> str:
    """`from step 0 to step 3000; 0.weight: 1.2 to 3.4; …`."""
    at = series.steps[measured_rows(series)]
    said = [f"From {series.step_unit} {at[0]} to {at[-1]}"]
    for j, name in enumerate(names):
        known = values[np.isfinite(values[:, j]), j]
        if len(known) and (name or len(names) == 1):
            course = f"{number(float(known[0]))} to {number(float(known[-1]))}"
            said.append(f"{name}: {course}" if name else course)
    return printable("; ".join(said)) + "."


def name_ends(
    box: Box,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    names: Sequence[str],
    colours: Sequence[str],
) -> tuple[Label, ...]:
    """The name of each line (S, n) beside its end, moved apart from the others."""
    last = last_known(y, names)
    if not last:
        return ()
    places = apart(np.array([y[i, j] for i, j in last]), SPACING, box.top, box.bottom)
    return tuple(
        Label(box.right + GAP, float(place), names[j], colours[j], float(x[i]), float(y[i, j]))
        for (i, j), place in zip(last, places, strict=True)
    )


def _dots(
    series: Series,
    steps: Steps,
    axis: Axis,
    box: Box,
    values: NDArray[np.float64],
    names: Sequence[str],
) -> tuple[Dot, ...]:
    at = series.steps[measured_rows(series)]
    if values.size > MOST_DOTS:
        return ()
    x, y = box.x(steps(at)), box.y(axis(values))
    count = values.shape[1] - (THRESHOLD in names)
    dots = []
    for j, name in enumerate(names):
        colour = colour_of(j, count) if j < count else "edge"
        for i in np.flatnonzero(np.isfinite(y[:, j])):
            said = f"{series.step_unit} {at[i]}: {number(float(values[i, j]))}"
            dots.append(Dot(float(x[i]), float(y[i, j]), colour,
                            printable(f"{name}, {said}" if name else said)))  # fmt: skip
    return tuple(dots)


def _nulls(series: Series, axis: Axis, box: Box, count: int) -> tuple[Dot, ...]:
    """Diamonds at the last step: what chance alone would give."""
    null = _null(series, count)
    y = box.y(axis(null))
    inside = np.isfinite(y) & (y >= box.top) & (y <= box.bottom)
    title = f"{chance(series)}: "
    return tuple(
        Dot(box.right, float(y[j]), colour_of(j, count), title + number(float(null[j])), "diamond")
        for j in np.flatnonzero(inside).tolist()
    )


def _remarks(series: Series) -> tuple[str, ...]:
    return (f"◇ {chance(series)}",) if np.isfinite(nulls_of(series)).any() else ()
