"""Compare sheet: a table of a comparison that becomes text of a terminal, or Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from dyntools.views.cells import QUIET
from dyntools.views.columns import Column, grid, no_room
from dyntools.views.fitted import Fitted
from dyntools.views.markdown import escaped
from dyntools.views.names import printable


@dataclass(frozen=True)
class Sheet:
    """title, said: the heading and the quieter line below it. head: of the column of names.

    notes: sentences below. A sheet without names is its title and its notes.
    """

    title: str
    said: str
    head: str
    names: Sequence[str]
    columns: Sequence[Column]
    notes: Sequence[str] = ()


def table(sheet: Sheet) -> RenderableType:
    """For a terminal of any width; names are cut, and the last columns left out, to fit."""
    return Fitted(lambda width: _built(sheet, width))


def markdown(sheet: Sheet) -> str:
    """A GitHub table, complete, with the sentences as a list."""
    lines = [f"**{escaped(sheet.title)}**", ""]
    if sheet.said:
        lines += [escaped(sheet.said), ""]
    if sheet.names:
        heads = [sheet.head, *(column.header.replace("\n", " ") for column in sheet.columns)]
        marks = ["---", *("---:" if column.right else "---" for column in sheet.columns)]
        rows = zip(sheet.names, *(column.cells for column in sheet.columns), strict=True)
        table_rows = [[_plain(cell) for cell in row] for row in rows]
        lines += [_row(heads), _row(marks, escape=False), *map(_row, table_rows), ""]
    lines += [f"- {escaped(note)}" for note in sheet.notes]
    return "\n".join(lines).rstrip() + "\n"


def _built(sheet: Sheet, width: int) -> RenderableType:
    parts: list[RenderableType] = [Text(printable(sheet.title), "bold")]
    found = grid(sheet.head, sheet.names, sheet.columns, width) if sheet.names else None
    note = found.note if found is not None else ""
    said = " · ".join(part for part in (sheet.said, note) if part)
    parts += [Text(line, QUIET) for line in textwrap.wrap(printable(said), width)]
    if found is not None:
        parts += [found, *(Text(line, QUIET) for line in no_room(found))]
    for sentence in sheet.notes:
        wrapped = textwrap.wrap(printable(sentence), width, subsequent_indent="  ")
        parts += [Text(line, QUIET) for line in wrapped]
    return Group(*parts, Text())


def _row(cells: Sequence[str], *, escape: bool = True) -> str:
    return "| " + " | ".join(escaped(c) if escape else c for c in cells) + " |"


def _plain(cell: str | Text) -> str:
    return cell if isinstance(cell, str) else cell.plain
