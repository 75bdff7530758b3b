"""Surface: a metric over two axes of numbers, such as the loss on a plane through the weights; its
last step as contours."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from dyntools.report import Series
from dyntools.views.dims import words
from dyntools.views.selection import measured_rows
from dyntools.views.style import (
    DECADES,
    GREY,
    HEAD,
    MARGIN,
    SEQUENTIAL,
    SMALL,
    heading,
    panel,
    quantity,
    ticks,
)

SIDE = 3.6  # inches
LEVELS = 14  # contours; chosen


def surface(series: Series, subtitle: str) -> Figure:
    """A figure of a series with two axes of numbers; what is not finite stays white."""
    row = int(measured_rows(series)[-1])
    x, y = (np.array(series.coords[dim], dtype=np.float64) for dim in reversed(series.dims))
    values = np.ma.masked_invalid(series.values[row])
    low, high = float(values.min()), float(values.max())
    wide = low > 0 and high > low * 10**DECADES
    high = high if high > low else low + (abs(low) or 1.0)
    levels = np.geomspace(low, high, LEVELS) if wide else np.linspace(low, high, LEVELS)
    norm = LogNorm(low, high) if wide else Normalize(low, high)
    figure = Figure(figsize=(MARGIN + 0.5 + SIDE + 1.6, 0.6 + SIDE + HEAD))
    axes = panel(figure, MARGIN + 0.5, 0.6, SIDE, SIDE)
    filled = axes.contourf(x, y, values, levels, norm=norm, cmap=colormaps[SEQUENTIAL])
    axes.contour(x, y, values, levels, colors="white", linewidths=0.4)
    axes.plot(0, 0, marker="o", color="white", markeredgecolor=GREY, markersize=5)
    axes.set(xlabel=words(series.dims[1]), ylabel=words(series.dims[0]))
    axes.xaxis.set_major_formatter(ticks())
    axes.yaxis.set_major_formatter(ticks())
    beside = panel(figure, MARGIN + 0.5 + SIDE + 0.2, 0.6, 0.14, SIDE)
    bar = figure.colorbar(filled, cax=beside, format=ticks())
    bar.set_label(quantity(series), size=SMALL, color=GREY)
    at = f"{series.step_unit} {series.steps[row]}, the weights of the checkpoint at the dot"
    heading(figure, f"{series.metric}: {series.what}", f"{at} · {subtitle}", left=MARGIN, top=0.15)
    return figure
