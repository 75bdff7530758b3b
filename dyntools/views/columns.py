"""Columns: a table of one name and many numbers a row, fitted to a width without wrapping.

The names get what the numbers leave. Where that is too little, the last columns are left out, so
columns are given in order of importance; `left_out` tells the caller what did not fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from dyntools.views.names import NARROWEST, shorten

GAP = 2
NAME_WIDTH = 22  # wider names are cut before a column is left out; chosen: six columns beside at 80


@dataclass(frozen=True)
class Column:
    """header: one or two lines. cells: one a row; a Text where a style is wanted."""

    header: str
    cells: tuple[str | Text, ...]
    right: bool = True

    @property
    def width(self) -> int:
        lines = [*self.header.split("\n"), *(str(cell) for cell in self.cells)]
        return max(cell_len(line) for line in lines)


@dataclass(frozen=True)
class Grid:
    """table: what fitted. left_out: headers of the columns that did not. note: on the names."""

    table: Table
    left_out: tuple[str, ...]
    note: str


def grid(head: str, names: Sequence[str], columns: Sequence[Column], width: int) -> Grid:
    """The table of `names` under the header `head`, and of as many columns as fit `width`."""
    longest = shorten(names, max((cell_len(name) for name in names), default=0) + 1)
    natural = max((cell_len(name) for name in (*longest.names, head)), default=0)
    needed = max(min(natural, NAME_WIDTH), NARROWEST)
    kept = list(columns)
    while kept and needed + sum(column.width + GAP for column in kept) > width:
        kept.pop()
    room = width - sum(column.width + GAP for column in kept)
    short = shorten(names, min(natural, room))
    table = bare_table()
    table.add_column(Text(head), no_wrap=True, vertical="bottom", overflow="crop")
    for column in kept:
        justify: JustifyMethod = "right" if column.right else "left"
        header = Text(column.header, justify=justify)
        table.add_column(header, no_wrap=True, justify=justify, vertical="bottom")
    for i, name in enumerate(short.names):
        cells = [column.cells[i] for column in kept]
        table.add_row(Text(name), *(c if isinstance(c, Text) else Text(c) for c in cells))
    left_out = tuple(column.header.replace("\n", " ") for column in columns[len(kept) :])
    return Grid(table, left_out, short.note)


def bare_table() -> Table:
    """A table with a rule under its header and no other lines."""
    return Table(
        box=box.SIMPLE_HEAD,  # its divider is one blank, the other of GAP is padding
        show_edge=False,
        pad_edge=False,
        padding=(0, GAP - 1, 0, 0),
        header_style="bold",
    )
