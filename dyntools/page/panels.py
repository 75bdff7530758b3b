"""Panels: spectra and other profiles over an axis of numbers, one small plot a layer or block.

Which layers, steps and limits is decided in `views.profiles`: the layers that changed most, the
first step dark and the last light, one scale for all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dyntools.page.axes import Axis, axis_for
from dyntools.page.plot import Box, Dot, Label, Path, Plot, colour_of, marks, path_of
from dyntools.report import Series
from dyntools.views.dims import chance, plural, words
from dyntools.views.names import printable, shorten
from dyntools.views.numbers import number, tick
from dyntools.views.profiles import (
    COMPARED,
    extremes,
    led,
    limits,
    most_changed,
    steps_drawn,
    unit_of,
)
from dyntools.views.quantities import DECADES, quantity
from dyntools.views.selection import entries, measured_rows

SMALL, ALONE = (230.0, 160.0), (460.0, 210.0)  # view boxes: of one of several, of the only one
NAME_LETTERS = 30
DOT_ROW, NAMES = 13.0, 20  # units of a row of dots; letters of its name


@dataclass(frozen=True)
class Panels:
    """Small plots beside one another, under one title."""

    title: str
    remark: str
    plots: tuple[Plot, ...]

    name = "panels"


def spectra(series: Series, title: str = "") -> Panels:
    """The panels of a series with an axis of numbers, alone or behind layers or blocks."""
    series = led(series)
    rows = measured_rows(series)
    chosen = most_changed(series, int(rows[0]), int(rows[-1]))
    floor, ceiling, wide = limits(series, rows, chosen)
    axis = Axis(floor / 1.3, ceiling * 1.3, True) if wide else axis_for([floor, ceiling])
    names = shorten([entries(series)[i] for i in chosen], NAME_LETTERS).names
    size = SMALL if len(chosen) > 1 else ALONE
    plots = tuple(
        _panel(series, int(layer), name, axis, size)
        for layer, name in zip(chosen, names, strict=True)
    )
    first, last = series.steps[rows[0]], series.steps[rows[-1]]
    said = [f"{printable(series.step_unit)} {first} to {last}, the last one strong"]
    if len(chosen) < len(entries(series)):
        what = plural(series.dims[0])
        said.append(f"the {len(chosen)} {what} of {len(entries(series))} that changed most")
    return Panels(title or f"{series.metric}: {printable(series.what)}", "; ".join(said), plots)


def _panel(series: Series, layer: int, name: str, axis: Axis, size: tuple[float, float]) -> Plot:
    box = Box(42.0, 24.0, size[0] - 10, size[1] - 36)
    across = np.array(series.coords[series.dims[-1]], dtype=np.float64)
    horizontal = Axis(float(across.min()), float(across.max()))
    drawn = steps_drawn(measured_rows(series))
    x, lines = box.x(horizontal(across)), []
    for place, row in enumerate(drawn):
        values = series.values[row, layer]
        y = np.clip(box.y(axis(values)), box.top - 1, box.bottom + 1)
        end = place == len(drawn) - 1
        colour = colour_of(place, max(len(drawn), 2)) + ("" if end else " thin")
        at = f"{printable(series.step_unit)} {series.steps[row]}"
        lines.append(Path(path_of(x, np.where(np.isfinite(values), y, np.nan)), colour, at))
    few = 4 if size == SMALL else 7
    x_marks, y_marks = horizontal.marks(few), axis.marks(4)
    last = series.values[drawn[-1], layer]
    known = last[np.isfinite(last)]
    course = f"{number(float(known.min()))} to {number(float(known.max()))}" if len(known) else "–"
    title = (name + unit_of(series, int(drawn[-1]), layer)).strip() or series.metric
    return Plot(
        title,
        f"{quantity(series)} over {words(series.dims[-1])}, at the last step {course}.",
        *size,
        box,
        marks(x_marks, box.x([p for p, _ in x_marks])),
        marks(y_marks, box.y([p for p, _ in y_marks])),
        words(series.dims[-1]),
        quantity(series),
        lines=tuple(lines),
    )


def dots(series: Series, title: str = "") -> Plot:
    """A metric of every layer at the only step there is, beside its null or its start."""
    row = int(measured_rows(series)[-1])
    kept = extremes(series.values[row])
    values = series.values[row, kept]
    beside = next((key for key in COMPARED if key in series.beside), "")
    other = series.beside[beside][row, kept] if beside else np.full(len(kept), np.nan)
    known = values[np.isfinite(values)]
    wide = len(known) and known.min() > 0 and known.max() > known.min() * 10**DECADES
    axis = axis_for(np.concatenate([values, other]), bool(wide))
    names = shorten([entries(series)[i] for i in kept], NAMES).names
    height = max(DOT_ROW * len(kept), 40.0)
    box = Box(128.0, 6.0, 446.0, 6.0 + height)
    y = box.top + (np.arange(len(kept)) + 0.5) * height / len(kept)
    found = axis.marks(5)
    x, x_other = box.x(axis(values)), box.x(axis(other))
    meaning = chance(series) if beside == "null" else "at the start"
    points = [Dot(float(x[i]), float(y[i]), "blue", f"{names[i]}: {number(float(values[i]))}")
              for i in np.flatnonzero(np.isfinite(x))]  # fmt: skip
    points += [Dot(float(x_other[i]), float(y[i]), "edge",
                   f"{names[i]}, {meaning}: {number(float(other[i]))}", "diamond")
               for i in np.flatnonzero(np.isfinite(x_other))]  # fmt: skip
    at = f"{printable(series.step_unit)} {series.steps[row]}"
    return Plot(
        title or f"{series.metric}: {printable(series.what)}",
        f"{len(kept)} numbers at {at}{_span(known)}.",
        460.0,
        box.bottom + 36,
        box,
        across=marks(found, box.x([p for p, _ in found])),
        x_label=f"{quantity(series)} at {at}",
        dots=tuple(points),
        remarks=(f"◇ {meaning}",) if beside else (),
        names=tuple(Label(0, float(at), name) for name, at in zip(names, y, strict=True)),
    )  # fmt: skip


def _span(known: NDArray[np.float64]) -> str:
    return f", from {tick(float(known.min()))} to {tick(float(known.max()))}" if len(known) else ""
