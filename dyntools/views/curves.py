"""Curves: a metric against the steps: one line, a few named layers, or many coloured by depth.

Ranks and other whole numbers are lines however many they are. A threshold that a metric has beside
its values is a dashed line, the sampling error bars of one standard error.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dyntools.report import Series
from dyntools.views.dims import chance
from dyntools.views.labels import label_ends
from dyntools.views.lines import (
    FEW,
    THRESHOLD,
    indexed,
    last_known,
    level_of,
    lines_of,
    names_of,
    nulls_of,
    spans_decades,
)
from dyntools.views.selection import measured_rows
from dyntools.views.steps import scale_of
from dyntools.views.style import (
    BLUE,
    GREY,
    HEAD,
    INK,
    MARGIN,
    ORANGE,
    SMALL,
    by_depth,
    heading,
    panel,
    quantity,
    quiet_grid,
    ticks,
    width_of,
)

WIDTH, HEIGHT = 5.8, 3.2  # inches, of the panel
ROOM = 0.5  # of the range of the lines, for bands above and below it; chosen
EDGE = 0.05  # of the largest value, below zero: the margin of matplotlib
MARKED = 25  # steps up to which each is a dot


def curves(series: Series, subtitle: str) -> Figure:
    """A figure of a series without dims or with one of names or of an index."""
    names = names_of(series)
    level = level_of(series)
    right = width_of([*names, THRESHOLD] if level is not None else names, SMALL) + 0.5
    figure = Figure(figsize=(MARGIN + 0.5 + WIDTH + right, 0.6 + HEIGHT + HEAD))
    axes = panel(figure, MARGIN + 0.5, 0.6, WIDTH, HEIGHT)
    values, errors = lines_of(series, series.values), lines_of(series, series.error)
    assert values is not None
    draw(axes, series, values, errors, names, level)
    axes.set_ylabel(quantity(series))
    _draw_sampling(axes, series, values)
    _draw_null(axes, series)
    heading(figure, f"{series.metric}: {series.what}", subtitle, left=MARGIN, top=0.15)
    return figure


def draw(
    axes: Axes,
    series: Series,
    values: NDArray[np.float64],
    errors: NDArray[np.float64] | None,
    names: Sequence[str],
    level: NDArray[np.float64] | None = None,
) -> None:
    """Lines (S, n), each named at its end; more than FEW are a bundle with its median.

    level (S,): where the metric has its threshold.
    """
    steps = series.steps[measured_rows(series)]
    scale = scale_of(steps)
    x = scale(steps)
    count = values.shape[1]
    colours = [BLUE] if count == 1 else by_depth(count)
    few = count <= FEW or indexed(series)
    for j in range(count):
        marker = "o" if few and len(steps) <= MARKED else ""
        axes.plot(
            x,
            values[:, j],
            color=colours[j],
            marker=marker,
            markersize=3,
            linewidth=1.6 if few else 0.7,
            alpha=1.0 if few else 0.6,
        )
        if errors is not None and few:
            low, high = values[:, j] - errors[:, j], values[:, j] + errors[:, j]
            axes.fill_between(x, low, high, color=colours[j], alpha=0.15, linewidth=0)
    if level is not None:
        axes.plot(x, level, color=ORANGE, linewidth=1.2, linestyle=(0, (4, 3)))
    if spans_decades(values, errors if few else None, level):
        axes.set_yscale("log")
        axes.minorticks_off()
    elif few:
        _keep_in_sight(axes, values if level is None else np.column_stack([values, level]))
    axes.yaxis.set_major_formatter(ticks())
    quiet_grid(axes)
    scale.mark(axes, series.step_unit)
    if few:
        if level is not None:
            values = np.column_stack([values, level])
            names, colours = [*names, THRESHOLD], [*colours, ORANGE]
        _name_lines(axes, x, values, names, colours)
    else:
        _name_extremes(axes, x, values, names, colours)


def _keep_in_sight(axes: Axes, values: NDArray[np.float64]) -> None:
    """Bands of errors far wider than what the lines do are cut, so that the lines stay readable.

    Below zero no band tells anything if no line goes there.
    """
    known = values[np.isfinite(values)]
    if not len(known) or known.max() <= known.min():
        return
    room = ROOM * float(known.max() - known.min())
    low, high = axes.get_ylim()
    if known.min() >= 0:
        low = max(low, -EDGE * float(known.max()))
    axes.set_ylim(max(low, float(known.min()) - room), min(high, float(known.max()) + room))


def _draw_sampling(axes: Axes, series: Series, values: NDArray[np.float64]) -> None:
    """Bars of one standard error at the points, in the colour of their lines."""
    spread = lines_of(series, series.beside.get("sampling_error"))
    if spread is None or not np.isfinite(spread).any():
        return
    steps = series.steps[measured_rows(series)]
    x = scale_of(steps)(steps)
    count = values.shape[1]
    for j in range(count):
        colour = BLUE if count == 1 else by_depth(count)[j]
        axes.errorbar(
            x, values[:, j], spread[:, j], fmt="none", ecolor=colour, elinewidth=0.8, capsize=2
        )
    _remark(axes, "bars: standard error of the sample of examples")


def _name_lines(
    axes: Axes,
    x: NDArray[np.float64],
    values: NDArray[np.float64],
    names: Sequence[str],
    colours: Sequence[object],
) -> None:
    last = last_known(values, names)
    label_ends(
        axes,
        [float(values[i, j]) for i, j in last],
        [names[j] for _, j in last],
        [colours[j] for _, j in last],
        [float(x[i]) for i, _ in last],
    )


def _name_extremes(
    axes: Axes,
    x: NDArray[np.float64],
    values: NDArray[np.float64],
    names: Sequence[str],
    colours: Sequence[object],
) -> None:
    """The median of a bundle as a strong line; only it, the highest and the lowest are named."""
    known = [row[np.isfinite(row)] for row in values]
    middle = np.array([np.median(row) if len(row) else np.nan for row in known])
    axes.plot(x, middle, color=INK, linewidth=2.2)
    last = values[-1]
    finite = np.flatnonzero(np.isfinite(last))
    if not len(finite):
        return
    high, low = finite[np.argmax(last[finite])], finite[np.argmin(last[finite])]
    label_ends(
        axes,
        [float(last[high]), float(middle[-1]), float(last[low])],
        [names[high], f"median of {len(names)}", names[low]],
        [colours[high], INK, colours[low]],
        [float(x[-1])] * 3,
    )


def _draw_null(axes: Axes, series: Series) -> None:
    """Diamonds: what chance alone would give, in the colour of its line."""
    null, rows = nulls_of(series), measured_rows(series)
    if not np.isfinite(null).any():
        return
    x = float(scale_of(series.steps[rows])(series.steps[rows])[-1])
    colours = [BLUE] if len(null) == 1 else by_depth(len(null))
    axes.scatter(
        [x] * len(null), null, marker="D", s=22, facecolor="white", edgecolor=colours, zorder=5,
        clip_on=False,
    )  # fmt: skip
    _remark(axes, f"◇ {chance(series)}")


def _remark(axes: Axes, text: str) -> None:
    """A quiet line above the panel, to its right."""
    axes.annotate(
        text,
        (1, 1),
        xytext=(0, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        size=SMALL,
        color=GREY,
    )
