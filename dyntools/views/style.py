"""Style: how all figures look, and how they are written to files.

Little ink, dark text on white, colours that stay apart in every common colour blindness (Okabe &
Ito 2008, Color Universal Design; viridis, Smith & van der Walt 2015), labels at the lines instead of
legends. Figures are made from matplotlib's objects, without pyplot: no global state, no display.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dyntools.views.names import printable

INK, GREY, FAINT, PALE = "#222222", "#6b6b6b", "#d9d9d9", "#f0f0f0"
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"
TEXT, SMALL, TITLE = 9.0, 7.5, 11.0  # points
INCHES_PER_LETTER = 0.0085  # of a point: mean width of DejaVu Sans, with some to spare
MARGIN = 0.45  # inches
FORMATS = ("png", "svg")

_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": TEXT,
    "text.color": INK,
    "text.parse_math": False,  # a `$` in the name of a layer is a `$`
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.labelsize": TEXT,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "hatch.color": "#bdbdbd",
    "hatch.linewidth": 0.5,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "savefig.dpi": 160,
    "svg.hashsalt": "dyntools",  # else the identifiers in an SVG differ from run to run
    "svg.fonttype": "path",
}


@contextmanager
def styled() -> Iterator[None]:
    """The settings of `matplotlib` under which figures are made and written; restored after."""
    with matplotlib.rc_context(_STYLE):
        yield


def save(figure: Figure, directory: Path, stem: str) -> list[Path]:
    """Write `stem`.png and `stem`.svg; the same figure gives the same bytes."""
    paths = [directory / f"{stem}.{suffix}" for suffix in FORMATS]
    with styled():
        for path in paths:
            metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
            figure.savefig(
                path,
                metadata=metadata,
                bbox_inches="tight",
                pad_inches=0.2,
                facecolor="white",
            )
    return paths


def panel(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place given in inches from the lower left corner of the figure."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def heading(figure: Figure, title: str, subtitle: str, *, left: float, top: float) -> None:
    """A title that says what is seen and a quieter line below it, at inches from the upper left."""
    across, up = figure.get_size_inches()
    columns = int((across - left) / (TITLE * INCHES_PER_LETTER))
    title = textwrap.shorten(printable(title), columns, placeholder=" …")
    figure.text(left / across, 1 - top / up, title, size=TITLE, weight="bold", va="top")
    figure.text(
        left / across, 1 - (top + 0.24) / up, printable(subtitle), size=SMALL, color=GREY, va="top"
    )


def width_of(texts: list[str] | tuple[str, ...], size: float) -> float:
    """Inches that the longest of these texts takes."""
    return max((len(text) for text in texts), default=0) * size * INCHES_PER_LETTER


def by_depth(count: int) -> list[tuple[float, float, float, float]]:
    """One colour a layer, from dark for the first to light green for the last; no pale yellow."""
    return [tuple(colour) for colour in colormaps[SEQUENTIAL](np.linspace(0.0, 0.82, count))]


def quiet_grid(axes: Axes) -> None:
    axes.grid(True, axis="y", color=PALE, linewidth=0.8)
    axes.tick_params(length=3)
