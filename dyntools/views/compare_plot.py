"""Compare plot: the runs of a comparison over one another, in one picture.

A metric is drawn in as many small panels as it has entries, up to `PANELS`, the furthest apart
first; every run with all of its own steps. Groups are the mean with a band of one standard error,
each seed a thin line. The views over several runs have one panel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from numpy.typing import NDArray

from dyntools.comparison.alignment import By
from dyntools.comparison.compared import Compared
from dyntools.comparison.coordinate_check import CoordinateCheck
from dyntools.comparison.lr_sensitivity import LrSensitivity
from dyntools.comparison.width_transfer import WidthTransfer
from dyntools.views.compare_series import RATE_PAPER, SCALE_PAPER, SHARPNESS_PAPER
from dyntools.views.dims import words
from dyntools.views.labels import label_ends
from dyntools.views.names import shorten
from dyntools.views.steps import scale_of
from dyntools.views.style import (
    BLUE,
    DECADES,
    GREEN,
    HEAD,
    INK,
    MARGIN,
    ORANGE,
    SMALL,
    by_depth,
    heading,
    panel,
    quiet_grid,
    styled,
    ticks,
    width_of,
    writable,
)

PANELS = 6  # chosen: two rows of three on one page
ACROSS = 3
WIDTH, HEIGHT, BELOW = 2.9, 2.1, 0.75  # inches: of a panel, and of the space below it
ALONE_WIDTH, ALONE_HEIGHT = 5.6, 3.4
NAME_LETTERS = 18
FEW = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", INK)  # Okabe & Ito 2008


@dataclass(frozen=True, eq=False)
class Line:
    """A run in a panel: its name, (n,) points, and (n,) the half width of a band, if any."""

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    colour: object
    band: NDArray[np.float64] | None = None
    thin: bool = False


def save(figure: Figure, path: Path) -> None:
    """Write one file, PNG, SVG or PDF by its ending. The same figure gives the same bytes."""
    dated = path.suffix.lower() in (".svg", ".pdf")
    metadata = {"Date" if path.suffix.lower() == ".svg" else "CreationDate": None}
    with styled():
        figure.savefig(
            path,
            metadata=metadata if dated else {"Software": None},
            bbox_inches="tight",
            pad_inches=0.2,
            facecolor="white",
        )


def metric_figure(compared: Compared) -> Figure:
    """The entries of one metric, the furthest apart at the last place first."""
    rows = compared.rows(compared.last)
    far = sorted(
        range(len(rows)), key=lambda i: -rows[i].spread if math.isfinite(rows[i].spread) else 1.0
    )
    chosen = sorted(far[:PANELS])
    colours = _colours(len(compared.sides))
    fraction = compared.alignment.by is not By.step
    panels = [(compared.entries[i], _runs(compared, i, colours)) for i in chosen]
    unit = "% of training" if fraction else compared.alignment.unit
    left_out = len(rows) - len(chosen)
    said = f"{compared.alignment.sentence} {compared.paper}"
    if left_out:
        said += f"\nthe {len(chosen)} of {len(rows)} that lie furthest apart"
    title = f"{compared.metric}: {compared.what}"
    return _figure(panels, title, said, unit, log_x=not fraction)


def width_figure(found: WidthTransfer) -> Figure:
    """Every quantity along the training, the widths from dark (narrow) to light (wide)."""
    colours = by_depth(len(found.sides))
    order = np.argsort(np.argsort(found.widths.values))
    panels = []
    for curves in found.curves[:PANELS]:
        lines = [
            Line(f"{width:g}", 100 * curves.places, curves.values[i], colours[int(order[i])])
            for i, width in enumerate(found.widths.values)
        ]
        panels.append((f"{curves.metric} {curves.entry}".strip(), lines))
    said = f"{found.sentence} Lines: widths.\n{SHARPNESS_PAPER}"
    return _figure(panels, "Width transfer", said, "% of training")


def coordinate_figure(found: CoordinateCheck) -> Figure:
    """The metric of every layer against the width, both logarithmic."""
    x = np.log2(np.asarray(found.widths.values))
    order = np.argsort(x)
    colours = by_depth(len(found.fits))
    lines = [
        Line(fit.layer, x[order], np.asarray(fit.values)[order], colours[i])
        for i, fit in enumerate(found.fits)
    ]
    said = f"at {found.at[1]}; layers from dark (first) to light (last)\n"
    figure = _figure(
        [(found.metric, lines)],
        "Coordinate check",
        said + SCALE_PAPER,
        "width",
        log_y=True,
    )
    axes = figure.axes[0]
    axes.set_xticks(x[order].tolist(), [f"{w:g}" for w in np.asarray(found.widths.values)[order]])
    return figure


def sensitivity_figure(found: LrSensitivity) -> Figure:
    """The loss of every recipe against the learning rate."""
    colours = _colours(len(found.recipes))
    lines = []
    for one, colour in zip(found.recipes, colours, strict=True):
        x = np.log10([point.rate for point in one.points])
        y = np.array([point.counted for point in one.points])
        lines.append(Line(one.recipe, x, y, colour))
    what = found.loss.replace("_", " ")
    said = f"{what} at the end, or at the start where that is less\n"
    figure = _figure(
        [(what, lines)],
        "Learning-rate sensitivity",
        said + RATE_PAPER,
        "learning rate",
    )
    rates = sorted({point.rate for one in found.recipes for point in one.points})
    figure.axes[0].set_xticks(np.log10(rates).tolist(), [f"{rate:.0e}" for rate in rates])
    return figure


def _runs(compared: Compared, entry: int, colours: Sequence[object]) -> list[Line]:
    """Every side of one entry: a line, or the mean with its band and the seeds."""
    alignment = compared.alignment
    x = alignment.places if alignment.by is By.step else 100 * alignment.fractions.mean(axis=0)
    lines = []
    for i, name in enumerate(compared.sides):
        course = compared.course(i, entry)
        numbers = course.numbers()
        error = np.array([one.error for one in numbers])
        if len(course.values) > 1:
            lines += [Line("", x, seed, colours[i], thin=True) for seed in course.values]
        middle = np.array([one.value for one in numbers])
        lines.append(Line(name, x, middle, colours[i], error if np.isfinite(error).any() else None))
    return lines


def _figure(
    panels: Sequence[tuple[str, Sequence[Line]]],
    title: str,
    said: str,
    unit: str,
    *,
    log_x: bool = False,
    log_y: bool = False,
) -> Figure:
    alone = len(panels) == 1
    wide, high = (ALONE_WIDTH, ALONE_HEIGHT) if alone else (WIDTH, HEIGHT)
    names = shorten([line.name for _, lines in panels for line in lines], NAME_LETTERS).names
    room = width_of([writable(name) for name in names], SMALL) + 0.8
    columns = min(len(panels), ACROSS)
    down = math.ceil(len(panels) / columns)
    with styled():
        size = (MARGIN + columns * (wide + room) + 0.4, HEAD + down * (high + BELOW))
        figure = Figure(figsize=size)
        for i, (name, lines) in enumerate(panels):
            left = MARGIN + 0.4 + (i % columns) * (wide + room)
            bottom = (down - 1 - i // columns) * (high + BELOW) + BELOW - 0.25
            axes = panel(figure, left, bottom, wide, high)
            _draw(axes, lines, unit, log_x=log_x, log_y=log_y)
            axes.set_title(writable(words(name)), fontsize=SMALL + 1, loc="left")
        lines_said = "\n".join(writable(line) for line in said.split("\n"))
        heading(figure, writable(title), lines_said, left=MARGIN, top=0.15)
    return figure


def _draw(axes: Axes, lines: Sequence[Line], unit: str, *, log_x: bool, log_y: bool) -> None:
    scale = scale_of(np.concatenate([line.x for line in lines])) if log_x else None
    ends, texts, colours, places = [], [], [], []
    short = dict(
        zip(
            (a.name for a in lines),
            shorten([a.name for a in lines], NAME_LETTERS).names,
            strict=True,
        )
    )
    for line in lines:
        x = scale(line.x) if scale is not None else line.x
        width, alpha = (0.6, 0.35) if line.thin else (1.6, 1.0)
        marker = "" if line.thin or len(x) > 25 else "o"
        axes.plot(x, line.y, color=line.colour, linewidth=width, alpha=alpha, marker=marker,
                  markersize=3)  # fmt: skip
        if line.band is not None:
            low, high = line.y - line.band, line.y + line.band
            axes.fill_between(x, low, high, color=line.colour, alpha=0.15, linewidth=0)
        finite = np.flatnonzero(np.isfinite(line.y))
        if line.name and len(finite):
            ends.append(float(line.y[finite[-1]]))
            places.append(float(x[finite[-1]]))
            texts.append(writable(short[line.name]))
            colours.append(line.colour)
    if log_y or _spans_decades(lines):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.minorticks_off()
    axes.yaxis.set_major_formatter(ticks())
    quiet_grid(axes)
    if scale is not None:
        scale.mark(axes, unit)
    else:
        axes.set_xlabel(unit)
    label_ends(axes, ends, texts, colours, places)


def _spans_decades(lines: Sequence[Line]) -> bool:
    values = np.concatenate([line.y for line in lines])
    known = values[np.isfinite(values)]
    return bool(len(known) and known.min() > 0 and known.max() > known.min() * 10**DECADES)


def _colours(count: int) -> list[object]:
    return list(FEW[:count]) if count <= len(FEW) else list(by_depth(count))
