"""Curves: a metric against the steps: one line, a few named layers, or many coloured by depth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dyntools.report import Series
from dyntools.views.labels import label_ends
from dyntools.views.names import shorten
from dyntools.views.selection import entries, measured_rows
from dyntools.views.steps import scale_of
from dyntools.views.style import (
    BLUE,
    GREY,
    HEAD,
    INK,
    MARGIN,
    SMALL,
    by_depth,
    heading,
    panel,
    quantity,
    quiet_grid,
    ticks,
    width_of,
)

FEW = 9  # lines that can be told apart and named; chosen
NAME_LETTERS = 30
WIDTH, HEIGHT = 5.8, 3.2  # inches, of the panel
DECADES = 2.0
MARKED = 25  # steps up to which each is a dot


def curves(series: Series, subtitle: str) -> Figure:
    """A figure of a series with the dims () or ("layer",)."""
    names = _names(series)
    right = width_of(names, SMALL) + 0.5
    figure = Figure(figsize=(MARGIN + 0.5 + WIDTH + right, 0.6 + HEIGHT + HEAD))
    axes = panel(figure, MARGIN + 0.5, 0.6, WIDTH, HEIGHT)
    values, errors = _lines(series)
    draw(axes, series, values, errors, names)
    axes.set_ylabel(quantity(series))
    _draw_null(axes, series)
    heading(figure, f"{series.metric}: {series.what}", subtitle, left=MARGIN, top=0.15)
    return figure


def draw(
    axes: Axes,
    series: Series,
    values: NDArray[np.float64],
    errors: NDArray[np.float64] | None,
    names: Sequence[str],
) -> None:
    """Lines (S, n), each named at its end; more than FEW are a bundle with its median."""
    steps = series.steps[measured_rows(series)]
    scale = scale_of(steps)
    x = scale(steps)
    count = values.shape[1]
    colours = [BLUE] if count == 1 else by_depth(count)
    few = count <= FEW
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
    if _spans_decades(values, errors if few else None):
        axes.set_yscale("log")
        axes.minorticks_off()
    axes.yaxis.set_major_formatter(ticks())
    quiet_grid(axes)
    scale.mark(axes, series.step_unit)
    if few:
        _name_lines(axes, x, values, names, colours)
    else:
        _name_extremes(axes, x, values, names, colours)


def _spans_decades(values: NDArray[np.float64], errors: NDArray[np.float64] | None) -> bool:
    """Whether a logarithmic axis suits: more than DECADES, and every error band above zero."""
    lower = values if errors is None else values - np.nan_to_num(errors)
    known, bottom = values[np.isfinite(values)], lower[np.isfinite(lower)]
    if not len(known) or bottom.min() <= 0:
        return False
    return bool(known.max() > known.min() * 10**DECADES)


def _names(series: Series) -> tuple[str, ...]:
    return shorten(entries(series), NAME_LETTERS).names if series.dims else ("",)


def _lines(series: Series) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    rows = measured_rows(series)
    shape = (len(rows), -1)
    error = None if series.error is None else series.error[rows].reshape(shape)
    return series.values[rows].reshape(shape), error


def _name_lines(
    axes: Axes,
    x: NDArray[np.float64],
    values: NDArray[np.float64],
    names: Sequence[str],
    colours: Sequence[object],
) -> None:
    named = [j for j in range(len(names)) if names[j] and np.isfinite(values[:, j]).any()]
    last = [int(np.flatnonzero(np.isfinite(values[:, j]))[-1]) for j in named]
    label_ends(
        axes,
        [float(values[i, j]) for i, j in zip(last, named, strict=True)],
        [names[j] for j in named],
        [colours[j] for j in named],
        [float(x[i]) for i in last],
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
    """Diamonds: what a random matrix of the same shape would give, in the colour of its layer."""
    if "null" not in series.beside:
        return
    rows = measured_rows(series)
    null = series.beside["null"][rows[-1]].reshape(-1)
    x = float(scale_of(series.steps[rows])(series.steps[rows])[-1])
    colours = [BLUE] if len(null) == 1 else by_depth(len(null))
    axes.scatter(
        [x] * len(null), null, marker="D", s=22, facecolor="white", edgecolor=colours, zorder=5,
        clip_on=False,
    )  # fmt: skip
    axes.annotate(
        "◇ a random matrix of the same shape",
        (1, 1),
        xytext=(0, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        size=SMALL,
        color=GREY,
    )
