"""Whole-model lines: the metrics of all parameters together, one row each.

Of an index the first and the last entry: the largest and the smallest eigenvalue that was asked
for, the smallest and the largest batch. Of a metric with blocks the block of all parameters. Beside
them the threshold at which training loses stability, where the metric knows one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from dyntools.report import Series
from dyntools.views.cells import QUIET, spark_cell, value_cell
from dyntools.views.columns import Column, grid, no_room
from dyntools.views.dims import words
from dyntools.views.numbers import label, number
from dyntools.views.probes import told
from dyntools.views.selection import measured_rows


@dataclass(frozen=True, eq=False)
class _Line:
    """One entry (() or one position) of a series, of which `rows` were measured."""

    series: Series
    entry: tuple[int, ...]

    @property
    def rows(self) -> list[int]:
        return [int(i) for i in measured_rows(self.series)]

    @property
    def place(self) -> str:
        if not self.entry:
            return ""
        dim = self.series.dims[0]
        return f"{words(dim)} {label(self.series.coords[dim][self.entry[0]])}"

    @property
    def value(self) -> Text:
        return value_cell(self.series, (self.rows[-1], *self.entry))

    def course(self, width: int) -> str:
        return spark_cell(
            np.array([self.series.values[(i, *self.entry)] for i in self.rows]), width
        )

    @property
    def threshold(self) -> float:
        """Of the first entry only: the last is not what stability asks for."""
        array = self.series.beside.get("threshold")
        if array is None or any(self.entry):
            return float("nan")
        return float(array[(self.rows[-1], *self.entry)])

    @property
    def step(self) -> str:
        return f"{self.series.step_unit} {self.series.steps[self.rows[-1]]}"


def whole_lines(all_series: Sequence[Series], width: int) -> RenderableType:
    """The table of series that have no dim, or an index."""
    lines = [_Line(series, entry) for series in all_series for entry in _ends(series)]
    columns = [Column("value", tuple(line.value for line in lines))]
    if any(line.entry for line in lines):
        columns.insert(0, Column("of", tuple(line.place for line in lines), right=False))
    if any(len(line.rows) > 1 for line in lines):
        courses = tuple(line.course(width) for line in lines)
        columns.append(Column("along steps", courses, right=False))
    edges = [line.threshold for line in lines]
    if np.isfinite(edges).any():
        columns.append(Column("threshold", tuple(map(number, edges))))
    columns.append(Column("unit", tuple(line.series.unit for line in lines), right=False))
    found = grid("metric", [line.series.metric for line in lines], columns, width)
    probes = dict.fromkeys(told(series) for series in all_series if told(series))
    return Group(_title(lines), found, *(Text(text, QUIET) for text in (*no_room(found), *probes)))


def _ends(series: Series) -> list[tuple[int, ...]]:
    if not series.dims:
        return [()]
    size = len(series.coords[series.dims[0]])
    return [(0,), (size - 1,)] if size > 1 else [(0,)]


def _title(lines: Sequence[_Line]) -> Text:
    at = dict.fromkeys(line.step for line in lines)
    where = f" at {next(iter(at))}" if len(at) == 1 else ", each at its last step"
    return Text.assemble(("Whole model", "bold"), where)
