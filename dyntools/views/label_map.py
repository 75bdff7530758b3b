"""Label map: one number for each layer and each of a few named alternatives, at the last step.

Rows are layers as in a heat map, columns the names of the second dim: sets of axes, forms of a
second moment. Where a layer has no such alternative the cell is empty; what was not measured is
hatched; what is infinite has the strongest colour and says so. Where rows are named one by one,
each cell holds its number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dyntools.measurement import Status
from dyntools.report import Series
from dyntools.views.arrangement import NAMED, Row, arranged, row_labels
from dyntools.views.dims import in_order, words
from dyntools.views.heat_map import LEAST, MOST, ROW, colour_scale, name_rows, room
from dyntools.views.numbers import label, number
from dyntools.views.selection import at, entries, measured_rows
from dyntools.views.style import (
    FAINT,
    GREY,
    HEAD,
    INK,
    MARGIN,
    SEQUENTIAL,
    SMALL,
    heading,
    panel,
    quantity,
    ticks,
    width_of,
)

COLUMN = 0.52  # inches: room for a number of three digits
FEWEST = 4  # columns, of which a map is at least as wide
STRONG = 0.55  # of the colours: above, dark text is the readable one; of viridis
LONG = 3  # letters of a column's name that fit above it; longer names are slanted
FOOT = 0.75  # inches for the names of the columns


def label_map(series: Series, subtitle: str) -> Figure:
    """A figure of a series with the dims ("layer", names), at the last step measured."""
    row = int(measured_rows(series)[-1])
    rows = arranged(entries(series))
    grouped = len(rows) > NAMED
    labels = row_labels(entries(series), rows, room(rows))
    columns = in_order(series.coords[series.dims[1]])
    height = float(np.clip((ROW + 0.02) * len(rows), LEAST, MOST))
    width = COLUMN * max(len(columns), FEWEST)
    left = MARGIN + width_of([text for _, text in labels], SMALL) + 0.25
    what = f"{series.metric}: {series.what}"
    figure = Figure(figsize=(max(left + width + 1.4, 7.0), FOOT + height + HEAD))
    axes = panel(figure, left, FOOT, width, height)
    bar = panel(figure, left + width + 0.18, FOOT, 0.14, height)
    _draw(axes, bar, series, row, rows, columns, numbers=not grouped)
    name_rows(axes, series, rows, labels)
    heading(figure, what, f"{subtitle} · {at(series, row)}", left=MARGIN, top=0.15)
    return figure


def _draw(
    axes: Axes,
    colour_bar: Axes,
    series: Series,
    row: int,
    rows: Sequence[Row],
    columns: Sequence[int],
    *,
    numbers: bool,
) -> None:
    chosen = np.ix_([one.position for one in rows], columns)
    values, status = series.values[row][chosen], series.status[row][chosen]
    finite = values[np.isfinite(values)]
    norm, colours, extend = _scale(finite)
    shown = np.where(np.isposinf(values), finite.max() if len(finite) else 1.0, values)
    axes.patch.set(facecolor="white")
    edges = np.arange(len(columns) + 1) - 0.5, np.arange(len(rows) + 1) - 0.5
    mesh = axes.pcolormesh(
        *edges,
        np.ma.masked_invalid(shown),
        cmap=colormaps[colours],
        norm=norm,
        rasterized=True,
    )
    hatched = ~np.isfinite(shown) & (status != Status.absent)
    _hatch(axes, hatched)
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    _name_columns(axes, series, columns)
    axes.spines[:].set_visible(False)
    _explain(axes, bool((status == Status.absent).any()), bool(hatched.any()))
    if numbers:
        _write(axes, values, norm)
    figure = axes.get_figure(root=True)
    assert figure is not None
    bar = figure.colorbar(mesh, cax=colour_bar, extend=extend, format=ticks(), drawedges=False)
    colour_bar.spines[:].set_visible(False)
    bar.ax.tick_params(length=2)
    bar.ax.minorticks_off()
    bar.set_label(quantity(series), size=SMALL, color=GREY)


def _hatch(axes: Axes, cells: NDArray[np.bool_]) -> None:
    for i, j in np.argwhere(cells):
        axes.fill(
            [j - 0.5, j + 0.5, j + 0.5, j - 0.5],
            [i - 0.5, i - 0.5, i + 0.5, i + 0.5],
            hatch="////",
            facecolor="white",
            edgecolor=FAINT,
            linewidth=0,
        )


def _name_columns(axes: Axes, series: Series, columns: Sequence[int]) -> None:
    names = [label(series.coords[series.dims[1]][j]) for j in columns]
    axes.set_xticks(range(len(columns)), names, size=SMALL)
    if max(map(len, names)) > LONG:
        axes.tick_params(axis="x", rotation=45)
        for text in axes.get_xticklabels():
            text.set(ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel(words(series.dims[1]))


def _explain(axes: Axes, empty: bool, hatched: bool) -> None:
    words = ["empty: it has none"] * empty + ["hatched: not measured"] * hatched
    axes.annotate(
        "\n".join(words),
        (0, 0),
        xytext=(-6, -14),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        va="top",
        size=SMALL - 0.5,
        color=GREY,
    )


def _scale(finite: NDArray[np.float64]) -> tuple[Normalize, str, str]:
    """As a heat map's, but in decades from one decade on: these are ratios and errors."""
    if len(finite) and finite.min() > 0 and finite.max() > 10 * finite.min():
        return LogNorm(finite.min(), finite.max()), SEQUENTIAL, "neither"
    return colour_scale(finite)


def _write(axes: Axes, values: NDArray[np.float64], norm: Normalize) -> None:
    for (i, j), value in np.ndenumerate(values):
        if np.isnan(value):
            continue
        strength = 1.0 if np.isinf(value) else float(norm(value))
        colour = INK if strength > STRONG else "white"
        text = "∞" if np.isinf(value) else number(float(value))
        axes.text(j, i, text, ha="center", va="center", size=SMALL - 1.5, color=colour)
