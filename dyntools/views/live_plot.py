"""Live plot: curves against steps in characters, each of 2 × 4 dots of braille.

Neighbouring values are one point, their median, and points are joined, so that a noisy curve of a
million values stays a line. The highest 2 % of the values, the first descent, may end above the
panel, as in the figures of `dyntools plot`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from dyntools.log import Curve
from dyntools.views.cells import QUIET
from dyntools.views.fitted import BRAILLE
from dyntools.views.numbers import number

ACROSS, DOWN = 2, 4  # dots of a character
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
FIRST_DESCENT = 0.98
STYLES = ("blue", "dark_orange")  # told apart in every common colour blindness
Points = tuple[NDArray[np.float64], NDArray[np.float64]]
NARROWEST = 12  # columns, of the panel
SMOOTHED, FEWEST = 5, 24  # values in one point where there are more than FEWEST points; chosen


@dataclass(frozen=True, eq=False)
class Line:
    """A named curve; its last value is written where it ends."""

    name: str
    curve: Curve


def plot(lines: Sequence[Line], width: int, height: int) -> list[Text]:
    """`height` rows of the panel and one below with the steps; [] where nothing is to be drawn."""
    lines = [line for line in lines if np.isfinite(line.curve.values).any()][: len(STYLES)]
    if not lines:
        return []
    points = [_points(line.curve, width * ACROSS) for line in lines]
    low, high = _limits(points, [_end(line) for line in lines])
    first = min(int(line.curve.steps[0]) for line in lines)
    last = max(int(line.curve.steps[-1]) for line in lines)
    labels = number(high), number(low)
    left = max(map(len, labels)) + 1
    ends = [f" {line.name} {number(_end(line))}" for line in lines]
    columns = width - left - max(map(len, ends))
    if columns < NARROWEST or height < 2:
        return []
    panels = [_panel(one, (first, last), (low, high), columns, height) for one in points]
    rows = []
    names = _places([_end(line) for line in lines], low, high, height)
    for i in range(height):
        row = Text((labels[0] if i == 0 else labels[1] if i == height - 1 else "").rjust(left - 1))
        row.stylize(QUIET)
        row.append(" ")
        for top, cells in groupby(range(columns), key=partial(_topmost, panels, i)):
            dots = (int(np.bitwise_or.reduce([panel[i, j] for panel in panels])) for j in cells)
            row.append("".join(chr(BRAILLE + d) if d else " " for d in dots), top)
        for k, place in enumerate(names):
            if place == i:
                row.append(ends[k], STYLES[k])
        rows.append(row)
    begin, end = str(first), str(last)
    axis = " " * left + begin + end.rjust(max(columns - len(begin), len(end) + 1))
    return [*rows, Text(axis, QUIET)]


def _topmost(panels: Sequence[NDArray[np.int64]], i: int, j: int) -> str:
    """The style of a character: that of the last curve which has a dot there."""
    drawn = [style for style, panel in zip(STYLES, panels, strict=False) if panel[i, j]]
    return drawn[-1] if drawn else ""


def _limits(points: Sequence[Points], ends: Sequence[float]) -> tuple[float, float]:
    values = np.concatenate([y for _, y in points])
    high = float(np.quantile(values, FIRST_DESCENT)) if len(values) > 50 else float(values.max())
    return min(float(values.min()), *ends), max(high, *ends)


def _end(line: Line) -> float:
    """The last value that is a number."""
    values = line.curve.values
    return float(values[np.flatnonzero(np.isfinite(values))[-1]])


def _points(curve: Curve, most: int) -> Points:
    """Steps and medians of neighbouring values, at most `most` of them; the ends stay."""
    finite = np.flatnonzero(np.isfinite(curve.values))
    count = min(len(finite), max(FEWEST, min(len(finite) // SMOOTHED, most)))
    shares = np.array_split(finite, count)
    x = np.array([np.mean(curve.steps[share]) for share in shares])
    x[0], x[-1] = curve.steps[finite[0]], curve.steps[finite[-1]]
    return x, np.array([np.median(curve.values[share]) for share in shares])


def _panel(
    points: Points, steps: tuple[int, int], values: tuple[float, float], columns: int, height: int
) -> NDArray[np.int64]:
    """The dots of each character, (height, columns)."""
    wide, tall = columns * ACROSS, height * DOWN
    x = (points[0] - steps[0]) / max(steps[1] - steps[0], 1) * (wide - 1)
    inside = slice(round(float(x[0])), round(float(x[-1])) + 1)
    drawn = np.interp(np.arange(wide)[inside], x, points[1])
    span = (values[1] - values[0]) or 1.0
    level = np.full(wide, -1)
    part = np.clip((values[1] - drawn) / span, 0.0, 1.0)
    level[inside] = (part * (tall - 1)).round().astype(int)
    panel = np.zeros((height, columns), np.int64)
    before = -1
    for place, to in enumerate(level):
        if to < 0:
            continue
        start = to if before < 0 else before + int(np.sign(to - before))
        for dot in range(min(start, to), max(start, to) + 1):
            panel[dot // DOWN, place // ACROSS] |= DOTS[dot % DOWN, place % ACROSS]
        before = to
    return panel


def _places(ends: Sequence[float], low: float, high: float, height: int) -> list[int]:
    """The row beside which each curve is named; no two the same where there are two."""
    span = (high - low) or 1.0
    rows = [round((high - min(end, high)) / span * (height - 1)) for end in ends]
    if len(rows) == 2 and rows[0] == rows[1]:
        lower = int(ends[1] <= ends[0])
        rows[lower] = min(rows[lower] + 1, height - 1)
        rows[1 - lower] = rows[lower] - 1
    return rows
