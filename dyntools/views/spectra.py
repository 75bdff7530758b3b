"""Spectra: a metric with an axis of numbers, such as quantiles of singular values or a density of
eigenvalues; one small panel a layer or block, its first step against its last."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from dyntools.report import Series
from dyntools.views.dims import plural, words
from dyntools.views.names import shorten
from dyntools.views.numbers import number
from dyntools.views.selection import entries, measured_rows
from dyntools.views.style import (
    DECADES,
    GREY,
    HEAD,
    LIGHTEST,
    MARGIN,
    SEQUENTIAL,
    SMALL,
    heading,
    panel,
    quantity,
    quiet_grid,
    ticks,
)

MOST, ACROSS = 9, 3  # panels, panels in a row
WIDTH, HEIGHT, GAP, ABOVE = 2.25, 1.55, 0.55, 0.42  # inches
ALONE = (5.8, 3.2)  # inches, of a panel that is the only one
RELATIVE = "relative_"
NAME_LETTERS = 32
STEPS_DRAWN = 12
TICKS = 4  # at most so many on an axis of a small panel; chosen
STEPS = (1, 2, 2.5, 5, 10)  # between ticks, so that an axis from -1 to 1 has its ends marked


def spectra(series: Series, subtitle: str) -> Figure:
    """A figure of a series with an axis of numbers, alone or behind layers or blocks."""
    series = _led(series)
    rows = measured_rows(series)
    chosen = _most_changed(series, int(rows[0]), int(rows[-1]))
    down = math.ceil(len(chosen) / ACROSS)
    across = min(len(chosen), ACROSS)
    left = MARGIN + 0.5
    width, height = (WIDTH, HEIGHT) if len(chosen) > 1 else ALONE
    figure = Figure(
        figsize=(
            left + max(across * (width + GAP), 4.5) + 0.2,
            0.65 + down * (height + ABOVE) - ABOVE + HEAD + 0.1,
        )
    )
    names = shorten([entries(series)[i] for i in chosen], NAME_LETTERS).names
    floor, ceiling, wide = _limits(series, rows, chosen)
    for place, (layer, name) in enumerate(zip(chosen, names, strict=True)):
        column, row = place % ACROSS, place // ACROSS
        bottom = 0.65 + (down - 1 - row) * (height + ABOVE)
        axes = panel(figure, left + column * (width + GAP), bottom, width, height)
        _draw(axes, series, rows, int(layer))
        _scale(axes, floor, ceiling, wide, TICKS if len(chosen) > 1 else 2 * TICKS)
        unit = _unit(series, int(rows[-1]), int(layer))
        axes.set_title(name + unit, size=SMALL + 0.5, loc="left", pad=4)
        axes.tick_params(labelleft=column == 0)
        if column == 0:
            axes.set_ylabel(quantity(series), size=SMALL)
        if place + ACROSS >= len(chosen):
            axes.set_xlabel(words(series.dims[-1]), size=SMALL)
    first, last = series.steps[rows[0]], series.steps[rows[-1]]
    which = (
        f"the {len(chosen)} {plural(series.dims[0])} of {len(entries(series))} that changed most"
    )
    span = f"{series.step_unit} {first} (dark) to {last} (light)" if len(rows) > 1 else ""
    parts = (span, which if len(chosen) < len(entries(series)) else "", subtitle)
    heading(
        figure,
        f"{series.metric}: {series.what}",
        " · ".join(part for part in parts if part),
        left=MARGIN,
        top=0.15,
    )
    return figure


def _led(series: Series) -> Series:
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


def _unit(series: Series, row: int, entry: int) -> str:
    """What 1 stands for on a relative axis, if the series has its absolute companion."""
    dim = series.dims[-1]
    absolute = series.beside.get(dim.removeprefix(RELATIVE))
    if not dim.startswith(RELATIVE) or absolute is None:
        return ""
    end = float(absolute[row, entry, -1]) / float(series.coords[dim][-1])
    return f"   1 = {number(end)} at {series.step_unit} {series.steps[row]}"


def _most_changed(series: Series, first: int, last: int) -> NDArray[np.intp]:
    """At most MOST layers, in their own order."""
    with np.errstate(invalid="ignore", over="ignore"):
        change = np.nansum((series.values[last] - series.values[first]) ** 2, axis=-1)
    return np.sort(np.argsort(-change, kind="stable")[:MOST])


def _draw(axes: Axes, series: Series, rows: NDArray[np.intp], layer: int) -> None:
    x = np.array(series.coords[series.dims[-1]], dtype=np.float64)
    drawn = rows[np.unique(np.linspace(0, len(rows) - 1, STEPS_DRAWN).round().astype(int))]
    colours = colormaps[SEQUENTIAL](np.linspace(0.0, LIGHTEST, len(drawn)))
    for place, (row, colour) in enumerate(zip(drawn, colours, strict=True)):
        end = place in (0, len(drawn) - 1)
        axes.plot(
            x,
            series.values[row, layer],
            color=colour,
            linewidth=1.8 if end else 0.7,
            alpha=1.0 if end else 0.55,
        )


def _limits(
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


def _scale(axes: Axes, floor: float, ceiling: float, wide: bool, most: int) -> None:
    """One scale for all panels: they are there to be compared."""
    if wide:
        axes.set_yscale("log", nonpositive="mask")
        axes.set_ylim(floor / 1.3, ceiling * 1.3)
        axes.yaxis.set_major_locator(LogLocator(numticks=5))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        room = 0.05 * (ceiling - floor) or 1.0
        axes.set_ylim(floor - room, ceiling + room)
        axes.yaxis.set_major_locator(MaxNLocator(most, steps=STEPS))
    axes.yaxis.set_major_formatter(ticks())
    axes.xaxis.set_major_locator(MaxNLocator(most, steps=STEPS))
    axes.xaxis.set_major_formatter(ticks())
    axes.tick_params(colors=GREY)
    quiet_grid(axes)
