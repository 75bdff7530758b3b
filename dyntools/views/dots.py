"""Dots: a metric of every layer at the only step there is, with its error and its null or start."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from dyntools.report import Series
from dyntools.views.dims import chance
from dyntools.views.names import shorten
from dyntools.views.profiles import COMPARED, extremes
from dyntools.views.selection import entries, measured_rows
from dyntools.views.style import (
    BLUE,
    DECADES,
    FAINT,
    GREY,
    HEAD,
    MARGIN,
    ORANGE,
    SMALL,
    heading,
    panel,
    quantity,
    quiet_grid,
    ticks,
    width_of,
)

NAME_LETTERS = 34
WIDTH, ROW, LEAST = 4.6, 0.18, 1.2  # inches


def dots(series: Series, subtitle: str) -> Figure:
    """A figure of a series with the dims ("layer",) and one measured step."""
    row = int(measured_rows(series)[-1])
    kept = extremes(series.values[row])
    names = shorten([entries(series)[i] for i in kept], NAME_LETTERS).names
    left = MARGIN + width_of(names, SMALL) + 0.2
    height = max(ROW * len(kept), LEAST)
    figure = Figure(figsize=(max(left + WIDTH + 0.5, 7.0), 0.6 + height + HEAD + 0.15))
    axes = panel(figure, left, 0.6, WIDTH, height)
    places = np.arange(len(kept))
    values = series.values[row, kept]
    error = None if series.error is None else np.nan_to_num(series.error[row, kept])
    axes.errorbar(values, places, xerr=error, fmt="o", color=BLUE, markersize=4.5, linewidth=1)
    for key in COMPARED:
        if key in series.beside:
            axes.scatter(
                series.beside[key][row, kept],
                places,
                marker="D",
                s=34,
                facecolor="white",
                edgecolor=ORANGE,
                zorder=1,
            )
            meaning = chance(series) if key == "null" else "at the start"
            axes.text(1, 1.01, f"◇ {meaning}", transform=axes.transAxes, ha="right", va="bottom",
                      size=SMALL, color=ORANGE)  # fmt: skip
            break
    known = values[np.isfinite(values)]
    if len(known) and known.min() > 0 and known.max() > known.min() * 10**DECADES:
        axes.set_xscale("log")
        axes.minorticks_off()
    axes.set_yticks(places.tolist(), names)
    axes.set_ylim(len(kept) - 0.5, -0.5)
    axes.xaxis.set_major_formatter(ticks())
    quiet_grid(axes)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_color(FAINT)
    axes.set_xlabel(quantity(series), color=GREY)
    at = f"{series.step_unit} {series.steps[row]}"
    heading(figure, f"{series.metric}: {series.what}", f"{at} · {subtitle}", left=MARGIN, top=0.15)
    return figure
