"""Frames: what stands around the cells of a map: names of rows and columns, partings, colours."""

from __future__ import annotations

from collections.abc import Sequence

from dyntools.page.cells import DIVERGING_LEVELS, LEVELS
from dyntools.page.plot import LETTER, Label, Mark
from dyntools.report import Series
from dyntools.views.arrangement import NAMED, Row, row_labels
from dyntools.views.numbers import tick
from dyntools.views.ranges import ColourRange
from dyntools.views.selection import entries

WIDTH, LEFT_MOST, TOP = 460.0, 128.0, 4.0
RIGHT = 6.0  # units at the right of the cells
WIDE_LETTER = 7.4  # units, of a letter as large as on a phone
SLANT = LETTER * 0.6  # a letter's way down


def labels(series: Series, rows: Sequence[Row], height: float) -> tuple[Label, ...]:
    """Names of rows, or of kinds of them, at their heights."""
    unit = height / max(len(rows), 1)
    room = max(1.0, 11.5 / unit)  # rows under a line of text
    positions = [row.position for row in rows]
    names = [entries(series)[i] for i in positions]
    local = [Row(i, row.group) for i, row in enumerate(rows)]
    letters = int((LEFT_MOST - 8) / LETTER)
    grouped = len(rows) > NAMED
    text = row_labels(names, local, room if grouped else 0.0, letters)
    return tuple(Label(0, TOP + (at + 0.5) * unit, name) for at, name in text)


def column_marks(
    across: Sequence[tuple[float, str]], left: float, every: bool
) -> tuple[tuple[Mark, ...], float]:
    """The names of columns, and how far they reach down if all are wanted and must be slanted."""
    marked = tuple(Mark(left + x * (WIDTH - left - RIGHT), text) for x, text in across)
    kept = _apart(marked)
    if every and len(kept) < len(marked):
        return marked, SLANT * max(len(text) for _, text in across)
    return kept, 0.0


def _apart(marks: Sequence[Mark]) -> tuple[Mark, ...]:
    """Marks whose texts do not overlap, from the left; of the last two rather the last."""
    kept: list[Mark] = []
    for mark in sorted(marks, key=lambda one: one.at):
        room = WIDE_LETTER * (len(mark.text) + len(kept[-1].text)) / 2 + 5 if kept else 0.0
        if kept and mark.at - kept[-1].at < room:
            if mark is marks[-1]:
                kept[-1] = mark
            continue
        kept.append(mark)
    return tuple(kept)


def partings(rows: Sequence[Row]) -> tuple[int, ...]:
    """Where one kind of many layers ends and the next begins."""
    if len(rows) <= NAMED:
        return ()
    return tuple(i for i in range(1, len(rows)) if rows[i].group != rows[i - 1].group)


def colour_bar(found: ColourRange) -> tuple[tuple[str, str], ...]:
    """The classes of the colour bar from low to high, with text at its ends and its middle."""
    count = DIVERGING_LEVELS if found.diverging else LEVELS
    low, high = found.low, found.high
    middle = low**0.5 * high**0.5 if found.logarithmic else low / 2 + high / 2
    texts = {0: ("≤ " if found.cut in ("min", "both") else "") + tick(low),
             count // 2: tick(middle),
             count - 1: ("≥ " if found.cut in ("max", "both") else "") + tick(high)}  # fmt: skip
    prefix = "d" if found.diverging else "q"
    return tuple((f"{prefix}{i}", texts.get(i, "")) for i in range(count))
