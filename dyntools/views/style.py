"""Style: how all figures look, and how they are written to files.

Little ink, dark text on white, colours that stay apart in every common colour blindness (Okabe &
Ito 2008, Color Universal Design; viridis, Smith & van der Walt 2015), labels at the lines instead
of legends. Figures are made from matplotlib's objects, without pyplot: no display is needed.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.ticker import FuncFormatter

from dyntools.views.names import printable
from dyntools.views.numbers import tick
from dyntools.views.quantities import DECADES as DECADES
from dyntools.views.quantities import quantity as quantity

INK, GREY, FAINT, PALE = "#222222", "#6b6b6b", "#d9d9d9", "#f0f0f0"
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"
LIGHTEST = 0.78  # of the sequential colours: lines and text must stay readable on white
TEXT, SMALL, TITLE = 9.0, 7.5, 11.0  # points
INCHES_PER_LETTER = 0.0085  # of a point: mean width of DejaVu Sans, with some to spare
MARGIN, HEAD = 0.45, 0.85  # inches: beside the panels; above them, for the heading
FIT = 0.14  # inches, of a line of the subtitle
FORMATS = ("png", "svg")
FONT = "DejaVu Sans"  # comes with matplotlib

_STYLE: Any = {  # matplotlib 3.11 types the keys, earlier ones take any
    "font.family": FONT,
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


def writable(text: str) -> str:
    """`text` with what the font lacks, and what steers a terminal, as visible escapes."""
    known = _characters()
    return "".join(
        c if ord(c) in known else c.encode("unicode_escape").decode() for c in printable(text)
    )


@cache
def _characters() -> frozenset[int]:
    return frozenset(get_font(findfont(FONT)).get_charmap())


def panel(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes at a place given in inches from the lower left corner of the figure."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def heading(figure: Figure, title: str, subtitle: str, *, left: float, top: float) -> None:
    """A title that says what is seen and a quieter line below it, at inches from the upper left."""
    across, up = figure.get_size_inches()
    columns = int((across - left) / (TITLE * INCHES_PER_LETTER))
    lines = textwrap.wrap(title, columns, max_lines=2, placeholder=" …")
    below = top + 0.05 + 0.19 * len(lines)
    if below + FIT * (subtitle.count("\n") + 1) > HEAD:
        up = _raise(figure, FIT)
    x = left / across
    figure.text(x, 1 - top / up, "\n".join(lines), size=TITLE, weight="bold", va="top")
    figure.text(x, 1 - below / up, subtitle, size=SMALL, color=GREY, va="top")


def _raise(figure: Figure, inches: float) -> float:
    """The new height of the figure with so much more room above all that is drawn."""
    across, up = (float(side) for side in figure.get_size_inches())
    figure.set_size_inches(across, up + inches)
    for axes in figure.axes:
        box = axes.get_position()
        share = up / (up + inches)
        axes.set_position((box.x0, box.y0 * share, box.width, box.height * share))
    return up + inches


def width_of(texts: list[str] | tuple[str, ...], size: float) -> float:
    """Inches that the longest of these texts takes."""
    return max((len(text) for text in texts), default=0) * size * INCHES_PER_LETTER


def by_depth(count: int) -> list[tuple[float, float, float, float]]:
    """One colour a layer, from dark for the first to light green for the last."""
    return [tuple(colour) for colour in colormaps[SEQUENTIAL](np.linspace(0.0, LIGHTEST, count))]


def ticks() -> FuncFormatter:
    """Numbers at ticks, as everywhere in the views. A new one for each axis, which owns it."""
    return FuncFormatter(lambda value, _: tick(value))


def quiet_grid(axes: Axes) -> None:
    axes.grid(True, axis="y", color=PALE, linewidth=0.8)
    axes.tick_params(length=3)
