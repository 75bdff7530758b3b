"""Heat map: one metric of every layer at every step, as colour.

Few layers are rows with their names, in the order of the model. Many are grouped by what they are
(`h.*.attn.c_proj`), each group in order of depth, so that a trend over depth is a gradient and an
odd layer is a streak.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dyntools.report import Series
from dyntools.views.arrangement import NAMED, Row, arranged, row_labels
from dyntools.views.ranges import colour_range
from dyntools.views.selection import entries, measured_rows
from dyntools.views.steps import scale_of
from dyntools.views.style import (
    DIVERGING,
    FAINT,
    GREY,
    HEAD,
    MARGIN,
    SEQUENTIAL,
    SMALL,
    heading,
    panel,
    quantity,
    ticks,
    width_of,
)

NAMED_STEPS = 12  # columns that are named one by one; chosen
WIDTH, ROW, LEAST, MOST = 5.6, 0.17, 1.6, 7.2  # inches: of the map; of a row; of the whole height


def heat_map(series: Series, subtitle: str) -> Figure:
    """A figure of a series with the dims ("layer",)."""
    rows = arranged(entries(series))
    labels = row_labels(entries(series), rows, room(rows))
    height = float(np.clip(ROW * len(rows), LEAST, MOST))
    left = MARGIN + width_of([text for _, text in labels], SMALL) + 0.25
    figure = Figure(figsize=(left + WIDTH + 1.4, 0.6 + height + HEAD))
    axes = panel(figure, left, 0.6, WIDTH, height)
    colour_bar = panel(figure, left + WIDTH + 0.18, 0.6, 0.14, height)
    draw(axes, colour_bar, series, rows)
    name_rows(axes, series, rows, labels)
    heading(figure, f"{series.metric}: {series.what}", subtitle, left=MARGIN, top=0.15)
    return figure


def room(rows: Sequence[Row]) -> float:
    """Rows that a line of text covers."""
    return max(1.0, len(rows) * 0.13 / MOST)


def name_rows(
    axes: Axes, series: Series, rows: Sequence[Row], labels: Sequence[tuple[float, str]]
) -> None:
    """Labels at their places; groups of rows, where these are many, stand apart."""
    grouped = len(rows) > NAMED
    axes.set_yticks([place for place, _ in labels], [text for _, text in labels])
    axes.tick_params(axis="y", length=0, pad=20 if grouped else 4)
    if grouped:
        separate(axes, series, rows)


def draw(axes: Axes, colour_bar: Axes, series: Series, rows: Sequence[Row]) -> None:
    """The cells and the colour bar. What was not measured stays hatched."""
    steps = measured_rows(series)
    values = series.values[steps][:, [row.position for row in rows]].T  # (rows, S)
    shown = np.ma.masked_invalid(values)
    norm, colours, extend = colour_scale(values)
    edges = _columns(axes, series.steps[steps], series.step_unit)
    axes.patch.set(hatch="////", edgecolor=FAINT, facecolor="white")
    mesh = axes.pcolormesh(
        edges,
        np.arange(len(rows) + 1) - 0.5,
        shown,
        cmap=colormaps[colours],
        norm=norm,
        rasterized=True,
    )
    axes.set(xlim=(edges[0], edges[-1]), ylim=(len(rows) - 0.5, -0.5))
    axes.spines[:].set_visible(False)
    figure = axes.get_figure(root=True)
    assert figure is not None
    bar = figure.colorbar(mesh, cax=colour_bar, extend=extend, format=ticks(), drawedges=False)
    colour_bar.spines[:].set_visible(False)
    bar.ax.tick_params(length=2)
    bar.ax.minorticks_off()
    bar.set_label(quantity(series), size=SMALL, color=GREY)
    if shown.mask.any():
        axes.annotate(
            "hatched: not measured, or failed",
            (1, 0),
            xytext=(0, -30),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="right",
            size=SMALL,
            color=GREY,
        )


def _columns(axes: Axes, steps: NDArray[np.int64], unit: str) -> NDArray[np.float64]:
    """Borders of the columns (S + 1,). Few steps are equally wide and each is named; many lie on a
    scale, which is logarithmic where they are."""
    if len(steps) <= NAMED_STEPS:
        axes.set_xticks(range(len(steps)), [str(step) for step in steps])
        axes.set_xlabel(unit)
        return np.arange(len(steps) + 1, dtype=np.float64) - 0.5
    scale = scale_of(steps)
    scale.mark(axes, unit)
    return scale.edges(steps)


def colour_scale(values: NDArray[np.float64]) -> tuple[Normalize, str, str]:
    """Norm, colours and the ends that are cut: see `ranges`."""
    found = colour_range(values)
    norm = (LogNorm if found.logarithmic else Normalize)(found.low, found.high)
    return norm, DIVERGING if found.diverging else SEQUENTIAL, found.cut


def separate(axes: Axes, series: Series, rows: Sequence[Row]) -> None:
    """White lines between kinds, and beside each the numbers of its first and last layer."""
    names = entries(series)
    starts = [i for i, row in enumerate(rows) if i == 0 or row.group != rows[i - 1].group]
    for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        if start:
            axes.axhline(start - 0.5, color="white", linewidth=2.5)
        if end - start < 4:
            continue
        for place, align in ((start, "top"), (end - 1, "bottom")):
            found = re.search(r"\d+", names[rows[place].position])
            edge = place - 0.5 if align == "top" else place + 0.5
            axes.annotate(
                found[0] if found else "",
                (0, edge),
                xytext=(-3, -1.5 if align == "top" else 1.5),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                ha="right",
                va=align,
                size=SMALL - 1.5,
                color=GREY,
            )
