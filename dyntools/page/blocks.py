"""Blocks: the tables of the terminal as plain data, from which a page and Markdown are written.

What `dyntools show` prints and what a page says come from the same views, at a width at which
nothing is left out, so that no number can differ between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from dyntools.views.columns import Grid
from dyntools.views.fitted import Fitted

WIDE = 1 << 20  # columns, at which every view shows all that it has
TONES = {"bold": "strong", "dim": "quiet", "bold red": "failed"}  # styles of `views.cells`


@dataclass(frozen=True)
class Words:
    """A line of text. tone: "", "strong", "quiet" or "failed"."""

    text: str
    tone: str = ""

    name = "words"


@dataclass(frozen=True)
class Table:
    """headers, rows: of as many cells. right: which columns hold numbers."""

    headers: tuple[str, ...]
    rows: tuple[tuple[Words, ...], ...]
    right: tuple[bool, ...]

    name = "table"

    def without(self, head: str) -> Table:
        """The table without the columns whose header begins so."""
        kept = [i for i, header in enumerate(self.headers) if not header.startswith(head)]
        rows = tuple(tuple(row[i] for i in kept) for row in self.rows)
        headers, right = (tuple(part[i] for i in kept) for part in (self.headers, self.right))
        return Table(headers, rows, right)  # type: ignore[arg-type]


Block = Words | Table


def blocks(view: RenderableType) -> tuple[Block, ...]:
    """The tables and lines of a view, from the top; empty lines, and words that another line has
    too, are left out."""
    found = list(_blocks(view))
    lines = [block.text for block in found if isinstance(block, Words)]
    twice = {text for text in lines if any(text in line and text != line for line in lines)}
    return tuple(b for b in found if not (isinstance(b, Words) and b.text in twice))


def tables(found: Sequence[Block]) -> tuple[Table, ...]:
    """Only the tables."""
    return tuple(block for block in found if isinstance(block, Table))


def notes(found: Sequence[Block]) -> tuple[str, ...]:
    """The quiet lines, which explain."""
    return tuple(b.text for b in found if isinstance(b, Words) and b.tone == "quiet")


def _blocks(view: RenderableType) -> Iterator[Block]:
    if isinstance(view, Fitted):
        yield from _blocks(view.build(WIDE))
    elif isinstance(view, Group):
        for part in view.renderables:
            yield from _blocks(part)
    elif isinstance(view, Grid):
        yield _grid(view)
        if view.note:
            yield Words(view.note, "quiet")
    elif isinstance(view, RichTable):
        yield _rich(view)
    elif isinstance(view, Text) and view.plain.strip():
        yield _words(view)
    elif isinstance(view, str) and view.strip():
        yield Words(view)


def _grid(view: Grid) -> Table:
    columns = [[_words(cell) for cell in column.cells] for column in view.columns]
    return Table(
        headers=tuple(column.header.replace("\n", " ").strip() for column in view.columns),
        rows=tuple(zip(*columns, strict=True)),
        right=tuple(column.right for column in view.columns),
    )


def _rich(view: RichTable) -> Table:
    columns = [[_words(cell) for cell in column.cells] for column in view.columns]
    return Table(
        headers=tuple(_words(column.header).text for column in view.columns),
        rows=tuple(zip(*columns, strict=True)),
        right=tuple(column.justify == "right" for column in view.columns),
    )


def _words(cell: object) -> Words:
    if isinstance(cell, Text):
        return Words(cell.plain, TONES.get(_style(cell), ""))
    return Words(str(cell))


def _style(text: Text) -> str:
    """Of the whole, or of the first part that has one, as in a title of bold and plain words."""
    spans = [str(span.style) for span in text.spans if span.start == 0]
    return str(text.style) or (spans[0] if spans else "")
