"""Cells: what a map is made of: colours as strokes, and the same numbers as text.

A cell is one of LEVELS colours; neighbours of one colour in a row are one stretch of a stroke, so
that a map of thousands of cells stays small. What is drawn is also given as text, once: each
different number is kept in a list, and a cell is a place in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dyntools.measurement import Status
from dyntools.views.numbers import number
from dyntools.views.ranges import ColourRange

LEVELS, DIVERGING_LEVELS = 16, 15  # colours of a map; with a middle where there are both signs
# By the contrast of each colour with white and with black; tests compute it.
LIGHT_FROM, LIGHT_DIVERGING = 7, range(3, 12)
UNKNOWN, NONE = -1, -2  # no number; no such thing, as a second axis of a vector
# Printable ASCII without what HTML escapes: a place in the list of numbers has two or three.
DIGITS = "".join(chr(c) for c in range(35, 127) if chr(c) not in "&'<>\"\\`")


@dataclass(frozen=True)
class Stroke:
    """d: cells of one level. title: what they are, "" for the strokes of many cells."""

    d: str
    level: str
    title: str = ""


@dataclass(frozen=True)
class Told:
    """The same as text. texts: each different number once; places: for each cell, row by row, its
    place in them, in `digits` of DIGITS."""

    layers: tuple[str, ...]
    columns: tuple[str, ...]
    texts: tuple[str, ...]
    places: str
    digits: int


def text_of(value: float, status: int) -> str:
    """The number, or a word for why there is none."""
    if status == Status.absent:
        return "none"
    if status in (Status.skipped, Status.failed) and value != value:
        return Status(status).name
    return ("~" if status == Status.unconverged else "") + number(value)


def levels(
    found: ColourRange, values: NDArray[np.float64], status: NDArray[np.int8]
) -> NDArray[np.int64]:
    """The colour of each cell, UNKNOWN for no number, NONE where there is no such cell."""
    count = DIVERGING_LEVELS if found.diverging else LEVELS
    shown = np.where(np.isposinf(values), found.high, values)
    level = np.full(values.shape, UNKNOWN, dtype=np.int64)
    known = np.isfinite(shown)
    level[known] = np.minimum((found(shown[known]) * count).astype(np.int64), count - 1)
    level[~known & (status == Status.absent)] = NONE
    return level + 100 * (found.diverging & (level >= 0))


def strokes_of(level: NDArray[np.int64]) -> list[Stroke]:
    """One stroke a level over its stretches of neighbours in a row, each `m` from the end of the
    one before: a number of one digit where a place on the map has three."""
    parts: dict[int, list[str]] = {}
    ends: dict[int, tuple[int, int]] = {}
    for y, row in enumerate(level.tolist()):
        start = 0
        for end in range(1, len(row) + 1):
            if end < len(row) and row[end] == row[start]:
                continue
            if (key := row[start]) != UNKNOWN:
                x0, y0 = ends.get(key, (0, 0))
                step = f"m{start - x0}{f' {y - y0}'.replace(' -', '-')}h{end - start}"
                parts.setdefault(key, []).append(step)
                ends[key] = end, y
            start = end
    return [Stroke("".join(found), class_of(key)) for key, found in sorted(parts.items())]


def class_of(level: int) -> str:
    """The class of a level: q0 … q15 in sequence, d0 … d14 diverging; of no number one that lets
    the hatching through, of what does not exist one that covers it."""
    if level < 0:
        return "sheer" if level == UNKNOWN else "blank"
    return f"d{level - 100}" if level >= 100 else f"q{level}"


def each_cell(
    level: NDArray[np.int64],
    names: Sequence[str],
    columns: Sequence[str],
    shown: Sequence[Sequence[str]],
) -> list[Stroke]:
    """A stroke for each cell, with what it is."""
    return [
        Stroke(f"M{j} {i}h1", class_of(int(level[i, j])),
               f"{names[i]}, {columns[j]}: {shown[i][j]}")
        for i, j in np.ndindex(*level.shape)
    ]  # fmt: skip


def each_row(names: Sequence[str], shown: Sequence[Sequence[str]]) -> tuple[Stroke, ...]:
    """A stroke that is not seen over each row, which tells its first and its last number."""
    return tuple(
        Stroke(f"M0 {i}h{len(row)}", "", f"{names[i]}: {row[0]} to {row[-1]}")
        for i, row in enumerate(shown)
    )


def light(level: int) -> bool:
    """Whether dark text reads better on a colour than white text."""
    return level >= LIGHT_FROM if level < 100 else level - 100 in LIGHT_DIVERGING


def encoded(shown: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], str, int]:
    """Every different text once; for each cell its place, in digits of base len(DIGITS)."""
    place = {text: i for i, text in enumerate(dict.fromkeys(t for row in shown for t in row))}
    base = len(DIGITS)
    digits = 1 if len(place) <= base else 2 if len(place) <= base**2 else 3
    code = {text: "".join(DIGITS[i // base**k % base] for k in reversed(range(digits)))
            for text, i in place.items()}  # fmt: skip
    return tuple(place), "".join(code[text] for row in shown for text in row), digits
