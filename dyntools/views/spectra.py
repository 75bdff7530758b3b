"""Spectra: a metric with an axis of numbers, such as quantiles of singular values or a density of
eigenvalues; one small panel a layer or block, its first step against its last."""

from __future__ import annotations

import math

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from dyntools.report import Series
from dyntools.views.dims import plural, words
from dyntools.views.names import shorten
from dyntools.views.profiles import led, limits, most_changed, steps_drawn, unit_of
from dyntools.views.selection import entries, measured_rows
from dyntools.views.style import (
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

ACROSS = 3  # panels in a row
WIDTH, HEIGHT, GAP, ABOVE = 2.25, 1.55, 0.55, 0.42  # inches
ALONE = (5.8, 3.2)  # inches, of a panel that is the only one
NAME_LETTERS = 32
TICKS = 4  # at most so many on an axis of a small panel; chosen
STEPS = (1, 2, 2.5, 5, 10)  # between ticks, so that an axis from -1 to 1 has its ends marked


def spectra(series: Series, subtitle: str) -> Figure:
    """A figure of a series with an axis of numbers, alone or behind layers or blocks."""
    series = led(series)
    rows = measured_rows(series)
    chosen = most_changed(series, int(rows[0]), int(rows[-1]))
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
    floor, ceiling, wide = limits(series, rows, chosen)
    for place, (layer, name) in enumerate(zip(chosen, names, strict=True)):
        column, row = place % ACROSS, place // ACROSS
        bottom = 0.65 + (down - 1 - row) * (height + ABOVE)
        axes = panel(figure, left + column * (width + GAP), bottom, width, height)
        _draw(axes, series, rows, int(layer))
        _scale(axes, floor, ceiling, wide, TICKS if len(chosen) > 1 else 2 * TICKS)
        unit = unit_of(series, int(rows[-1]), int(layer))
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


def _draw(axes: Axes, series: Series, rows: NDArray[np.intp], layer: int) -> None:
    x = np.array(series.coords[series.dims[-1]], dtype=np.float64)
    drawn = steps_drawn(rows)
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
