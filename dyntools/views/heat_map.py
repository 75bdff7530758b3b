"""Heat map: one metric of every layer at every step, as colour.

Few layers are rows with their names, in the order of the model. Many are grouped by what they are
(`h.*.attn.c_proj`), each group in order of depth, so that a trend over depth is a gradient and an
odd layer is a streak.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dyntools.report import Series
from dyntools.views.names import shorten
from dyntools.views.selection import entries, measured_rows
from dyntools.views.steps import scale_of
from dyntools.views.style import (
    DECADES,
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

NAMED, NAMED_STEPS = 45, 12  # rows, columns that are named one by one; chosen
NAME_LETTERS = 34
WIDTH, ROW, LEAST, MOST = 5.6, 0.17, 1.6, 7.2  # inches: of the map; of a row; of the whole height


@dataclass(frozen=True)
class Row:
    """position: of the layer in the series. label: "" for none. group: rows of one kind."""

    position: int
    group: str


def heat_map(series: Series, subtitle: str) -> Figure:
    """A figure of a series with the dims ("layer",)."""
    rows = arranged(entries(series))
    grouped = len(rows) > NAMED
    labels = row_labels(series, rows, grouped)
    height = float(np.clip(ROW * len(rows), LEAST, MOST))
    left = MARGIN + width_of([text for _, text in labels], SMALL) + 0.25
    figure = Figure(figsize=(left + WIDTH + 1.4, 0.6 + height + HEAD))
    axes = panel(figure, left, 0.6, WIDTH, height)
    colour_bar = panel(figure, left + WIDTH + 0.18, 0.6, 0.14, height)
    draw(axes, colour_bar, series, rows)
    name_rows(axes, series, rows, labels)
    heading(figure, f"{series.metric}: {series.what}", subtitle, left=MARGIN, top=0.15)
    return figure


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


def arranged(names: Sequence[str]) -> tuple[Row, ...]:
    """The rows from top to bottom: as they come if few, else by kind, then depth."""
    kinds = [re.sub(r"\d+", "*", name) for name in names]
    rows = [Row(i, kind) for i, kind in enumerate(kinds)]
    if len(names) <= NAMED:
        return tuple(rows)
    order = {kind: i for i, kind in reversed(list(enumerate(kinds)))}
    return tuple(sorted(rows, key=lambda row: (order[row.group], row.position)))


def colour_scale(values: NDArray[np.float64]) -> tuple[Normalize, str, str]:
    """Norm, colours and the ends that are cut: diverging about 0 if there are both signs, in
    decades if positive and wide, and never stretched by one outlier."""
    known = values[np.isfinite(values)]
    if not len(known):
        return Normalize(0, 1), SEQUENTIAL, "neither"
    low, high = float(known.min()), float(known.max())
    bottom, top = np.percentile(known, [1, 99])
    if low > 0 and top > bottom * 10**DECADES:
        return LogNorm(low, high), SEQUENTIAL, "neither"
    cut_low, cut_high = low < bottom - (top - bottom), high > top + (top - bottom)
    low, high = float(bottom) if cut_low else low, float(top) if cut_high else high
    extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}
    ends = extend[int(cut_low), int(cut_high)]
    if low < 0 < high and min(-low, high) > 0.1 * max(-low, high):
        most = max(-low, high)
        return Normalize(-most, most), DIVERGING, ends
    return Normalize(low, high if high > low else low + (abs(low) or 1.0)), SEQUENTIAL, ends


def row_labels(series: Series, rows: Sequence[Row], grouped: bool) -> list[tuple[float, str]]:
    """Where a name stands and what it says: each layer's, or one for each kind."""
    if not grouped:
        short = shorten(entries(series), NAME_LETTERS).names
        return [(float(i), short[row.position]) for i, row in enumerate(rows)]
    groups = list(dict.fromkeys(row.group for row in rows))
    short = shorten(groups, NAME_LETTERS).names
    members = [[i for i, row in enumerate(rows) if row.group == group] for group in groups]
    room = max(1.0, len(rows) * 0.13 / MOST)  # rows that a line of text covers
    labels: list[tuple[float, str]] = []
    for name, places in zip(short, members, strict=True):
        middle = float(np.mean(places))
        if not labels or middle - labels[-1][0] >= room:
            labels.append((middle, name))
    return labels


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
