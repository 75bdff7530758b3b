"""Dashboard: a run on one page: its losses, its sharpness against the edge of stability, how far
the layers turned, what is left of their rank, how they grew. Only what the report holds is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dyntools.report import Report, Series
from dyntools.views import curves, training
from dyntools.views.dims import whole
from dyntools.views.lines import level_of
from dyntools.views.names import shorten
from dyntools.views.selection import entries, measured_rows
from dyntools.views.style import GREY, INK, MARGIN, SMALL, TEXT, heading, panel

WIDTH, HEIGHT = 4.4, 2.35  # inches, of a panel
LEFT, RIGHT, ABOVE, BELOW = 0.75, 1.75, 0.5, 0.5  # inches around it
NAME_LETTERS = 24


@dataclass(frozen=True)
class Panel:
    """part: "" draws the value, "null" the value over its null, else that companion."""

    metric: str
    part: str
    title: str
    level: float | None = None  # a line for what nothing happened looks like


PANELS = (
    Panel("layer_rotation", "", "Layer rotation: cosine distance from the start"),
    Panel("effective_rank", "null", "Effective rank, as a share of a random matrix", 1.0),
    Panel("spectral_norm", "ratio_to_initial", "Spectral norm, relative to the start", 1.0),
    Panel("weight_norm", "ratio_to_initial", "Weight norm, relative to the start", 1.0),
)
STABILITY = ("hessian_top", "adam_sharpness")  # one of them has the optimizer's threshold
MOST = 4


def dashboard(report: Report, subtitle: str) -> Figure | None:
    """The figure, or None where there is nothing to put on it."""
    drawers: list[Callable[[Figure, float, float], None]] = []
    log = report.log
    if log is not None and training.drawable(log):
        drawers.append(lambda figure, x, y: _training(figure, report, x, y))
    for metric in STABILITY:
        measured = report.series.get(metric)
        ranks = None if measured is None else whole(measured)
        if ranks is not None and len(measured_rows(ranks)) > 1 and level_of(ranks) is not None:
            drawers.append(_edge(ranks))
    for one in PANELS:
        series = report.series.get(one.metric)
        if series is not None and _drawable(series, one):
            drawers.append(_drawer(series, one))
    drawers = drawers[:MOST]
    if len(drawers) < 2:
        return None
    across, down = 2, (len(drawers) + 1) // 2
    size = LEFT + WIDTH + RIGHT, ABOVE + HEIGHT + BELOW
    figure = Figure(figsize=(across * size[0] + 0.1, down * size[1] + 0.45))
    for i, draw in enumerate(drawers):
        draw(figure, (i % 2) * size[0] + LEFT, (down - 1 - i // 2) * size[1] + BELOW)
    run = str(report.attributes.get("run", "training run"))
    heading(figure, run, subtitle, left=MARGIN, top=0.15)
    return figure


def _drawable(series: Series, one: Panel) -> bool:
    if series.dims != ("layer",) or len(measured_rows(series)) < 2 or not series.values.size:
        return False
    return bool(np.isfinite(_values(series, one)).any())


def _values(series: Series, one: Panel) -> NDArray[np.float64]:
    rows = measured_rows(series)
    values = series.values[rows]
    if one.part == "null":
        null = series.beside.get("null", np.full_like(series.values, np.nan))[rows]
        return np.divide(values, null, out=np.full_like(values, np.nan), where=null > 0)
    return series.beside[one.part][rows] if one.part in series.beside else values


def _drawer(series: Series, one: Panel) -> Callable[[Figure, float, float], None]:
    return lambda figure, x, y: _layers(figure, series, one, x, y)


def _layers(figure: Figure, series: Series, one: Panel, x: float, y: float) -> None:
    axes = panel(figure, x, y, WIDTH, HEIGHT)
    names = shorten(entries(series), NAME_LETTERS).names
    if one.level is not None:
        axes.axhline(one.level, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    curves.draw(axes, series, _values(series, one), None, names)
    _title(axes, one.title)


def _edge(ranks: Series) -> Callable[[Figure, float, float], None]:
    def draw(figure: Figure, x: float, y: float) -> None:
        axes = panel(figure, x, y, WIDTH, HEIGHT)
        first = ranks.values[measured_rows(ranks)][:, :1]
        curves.draw(axes, ranks, first, None, ("sharpness",), level_of(ranks))
        _title(axes, "Sharpness, and the threshold of the optimizer")

    return draw


def _training(figure: Figure, report: Report, x: float, y: float) -> None:
    assert report.log is not None
    rate = panel(figure, x, y, WIDTH, 0.45)
    losses = panel(figure, x, y + 0.6, WIDTH, HEIGHT - 0.6)
    training.draw(losses, rate, report.log)
    _title(losses, "Loss, with the learning rate below")


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", size=TEXT + 0.5, color=INK, pad=8)
    axes.xaxis.label.set_fontsize(SMALL)
