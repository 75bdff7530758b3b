"""Columns: a table of one name and many numbers a row, fitted to a width without wrapping.

The names get what the numbers leave. Where that is too little, columns are left out: those of the
highest rank first, and of one rank the last; `Grid.left_out` tells the caller what did not fit.
Lines are laid out here and not by rich, which would need seconds for ten thousand rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from dyntools.views.names import NARROWEST, shorten

GAP = "  "
NAME_WIDTH = 22  # wider names are cut before a column is left out; chosen: six columns beside at 80
HEADER = Style(bold=True)


@dataclass(frozen=True)
class Column:
    """header: one or two lines. cells: one a row; a Text where a style is wanted.

    rank: 0 for what matters most. Where there is no room, higher ranks go first.
    """

    header: str
    cells: Sequence[str | Text]
    right: bool = True
    rank: int = 0

    @property
    def width(self) -> int:
        lines = [*self.header.split("\n"), *(_plain(cell) for cell in self.cells)]
        return max(cell_len(line) for line in lines)


@dataclass(frozen=True)
class Grid:
    """columns: what fitted, the names first. left_out: headers of what did not. note: on names."""

    columns: tuple[Column, ...]
    left_out: tuple[str, ...]
    note: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        widths = [column.width for column in self.columns]
        for texts in self._header_lines():
            yield from _line(console, self.columns, texts, widths, HEADER)
        yield Segment("─" * (sum(widths) + len(GAP) * (len(widths) - 1)))
        yield Segment.line()
        for cells in zip(*(column.cells for column in self.columns), strict=True):
            yield from _line(console, self.columns, cells, widths, None)

    def _header_lines(self) -> Iterator[list[str]]:
        """The headers, standing on the rule."""
        lines = [column.header.split("\n") for column in self.columns]
        height = max(len(parts) for parts in lines)
        padded = [[""] * (height - len(parts)) + parts for parts in lines]
        for i in range(height):
            yield [parts[i] for parts in padded]


def grid(head: str, names: Sequence[str], columns: Sequence[Column], width: int) -> Grid:
    """The table of `names` under the header `head`, and of as many columns as fit `width`."""
    whole = shorten(names, max((cell_len(name) for name in names), default=0) + 1).names
    natural = max((cell_len(name) for name in (*whole, head)), default=0)
    needed = max(min(natural, NAME_WIDTH), NARROWEST)
    order = sorted(range(len(columns)), key=lambda i: columns[i].rank)
    fitting, room = 0, width
    for i in order:
        if room - columns[i].width - len(GAP) < needed:
            break
        fitting += 1
        room -= columns[i].width + len(GAP)
    short = shorten(names, min(natural, room))
    kept = [columns[i] for i in sorted(order[:fitting])]
    left_out = tuple(columns[i].header.replace("\n", " ") for i in sorted(order[fitting:]))
    return Grid((Column(head, short.names, right=False), *kept), left_out, short.note)


def no_room(found: Grid) -> list[str]:
    """A line that names what was left out, none if nothing was."""
    left_out = dict.fromkeys(found.left_out)
    return [f"no room at this width: {', '.join(left_out)}"] if left_out else []


def _plain(cell: str | Text) -> str:
    return cell if isinstance(cell, str) else cell.plain


def _line(
    console: Console,
    columns: Sequence[Column],
    cells: Sequence[str | Text],
    widths: Sequence[int],
    style: Style | None,
) -> Iterator[Segment]:
    for i, (column, cell, width) in enumerate(zip(columns, cells, widths, strict=True)):
        text = _plain(cell)
        blank = " " * (width - cell_len(text))
        own = console.get_style(cell.style) if isinstance(cell, Text) and cell.style else style
        padded = blank + text if column.right else text + blank
        yield Segment((GAP if i else "") + padded, own)
    yield Segment.line()
