"""Plot: a drawing as plain data, in the units of its view box; the template writes it as SVG.

Colours are names of classes, which the style sheet gives a colour for light and for dark. Text is
kept as text: the template escapes it, and a screen reader finds it in title and description.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

LETTER = 6.3  # units, of a letter of a label at its size of 11; measured, mean of system fonts
LINE_COLOURS = 10  # classes l0 … l9, from the first line to the last


@dataclass(frozen=True)
class Mark:
    """A place on an axis and what is written there; units of the view box."""

    at: float
    text: str


@dataclass(frozen=True)
class Path:
    """d: of an SVG path. colour: a class. title: for the pointer, "" for none."""

    d: str
    colour: str
    title: str = ""


@dataclass(frozen=True)
class Dot:
    """A point that tells its value to the pointer. shape: "dot" or "diamond"."""

    x: float
    y: float
    colour: str
    title: str
    shape: str = "dot"


@dataclass(frozen=True)
class Label:
    """Text at a place; `colour` is that of the thin line that leads to it, from (x0, y0)."""

    x: float
    y: float
    text: str
    colour: str = ""
    x0: float | None = None
    y0: float | None = None
    anchor: str = "start"


@dataclass(frozen=True)
class Box:
    """Of the panel, within the view box."""

    left: float
    top: float
    right: float
    bottom: float

    def x(self, positions: ArrayLike) -> NDArray[np.float64]:
        """Of positions from 0 to 1."""
        return self.left + np.asarray(positions) * (self.right - self.left)

    def y(self, positions: ArrayLike) -> NDArray[np.float64]:
        """Of positions from 0 to 1, upwards."""
        return self.bottom - np.asarray(positions) * (self.bottom - self.top)


@dataclass(frozen=True)
class Plot:
    """title: what is seen. description: what it shows, in words, for who cannot see it."""

    title: str
    description: str
    width: float
    height: float
    box: Box
    across: tuple[Mark, ...] = ()
    up: tuple[Mark, ...] = ()
    x_label: str = ""
    y_label: str = ""
    bands: tuple[Path, ...] = ()
    lines: tuple[Path, ...] = ()
    dots: tuple[Dot, ...] = ()
    labels: tuple[Label, ...] = ()
    remarks: tuple[str, ...] = ()
    names: tuple[Label, ...] = field(default=())  # of rows, at the left of the panel

    name = "plot"


def path_of(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """`M12 34.5L13 35…`: lines from point to point, broken where one is not finite."""
    parts, drawing = [], False
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        if not (np.isfinite(a) and np.isfinite(b)):
            drawing = False
            continue
        parts.append(f"{'L' if drawing else 'M'}{short(a)} {short(b)}")
        drawing = True
    return "".join(parts)


def band_of(x: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> str:
    """A closed path from the low ends forth and the high ends back."""
    known = np.isfinite(low) & np.isfinite(high)
    forth, back = path_of(x[known], low[known]), path_of(x[known][::-1], high[known][::-1])
    return f"{forth}{back.replace('M', 'L', 1)}Z" if forth else ""


def short(value: float) -> str:
    """With one digit behind the point, which is finer than a pixel."""
    return f"{value:.1f}".rstrip("0").rstrip(".")


def colour_of(position: int, count: int) -> str:
    """The class of one of `count` lines, by depth; a single line is blue."""
    if count == 1:
        return "blue"
    return f"l{round(position * (LINE_COLOURS - 1) / (count - 1))}"


def marks(found: Sequence[tuple[float, str]], places: NDArray[np.float64]) -> tuple[Mark, ...]:
    """Marks of an axis at places of the view box."""
    return tuple(Mark(float(at), text) for at, (_, text) in zip(places, found, strict=True))


def letters(texts: Sequence[str]) -> float:
    """Units that the longest of these texts takes."""
    return LETTER * max((len(text) for text in texts), default=0)
