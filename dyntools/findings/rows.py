"""Rows: the last thing a series says, by name, and the words for numbers and steps.

A rule asks for what it needs and gets NaN, or None, where the report does not hold it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dyntools.report import CheckpointRow, Report, Series


@dataclass(frozen=True)
class Row:
    """A series without dims at the last step that holds anything. `row["name"]`: a companion.

    unit: what `step` counts, which in a log may be another than in the checkpoints.
    """

    step: int
    unit: str
    value: float
    error: float
    beside: Mapping[str, float]

    def __getitem__(self, name: str) -> float:
        return self.beside.get(name, math.nan)


@dataclass(frozen=True, eq=False)
class Layers:
    """A series over layers at the last step with a value, (n,); layers without one left out."""

    step: int
    unit: str
    names: tuple[str, ...]
    values: NDArray[np.float64]
    beside: Mapping[str, NDArray[np.float64]]

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        return self.beside.get(name, np.full(len(self.names), np.nan))


def last_row(report: Report, metric: str) -> Row | None:
    """None when the metric was not measured, or never with a number."""
    series = report.series.get(metric)
    if series is None or series.dims:
        return None
    for i in range(len(series.steps) - 1, -1, -1):
        beside = {name: float(array[i]) for name, array in series.beside.items()}
        if any(math.isfinite(number) for number in (float(series.values[i]), *beside.values())):
            error = math.nan if series.error is None else float(series.error[i])
            return Row(
                int(series.steps[i]), series.step_unit, float(series.values[i]), error, beside
            )
    return None


def last_layers(report: Report, metric: str) -> Layers | None:
    """None when the metric was not measured, or for no layer."""
    series = report.series.get(metric)
    if series is None or series.dims != ("layer",) or not series.ok.any():
        return None
    row = int(np.flatnonzero(series.ok.any(axis=1))[-1])
    kept = np.flatnonzero(series.ok[row] & np.isfinite(series.values[row]))
    names = tuple(str(series.coords["layer"][i]) for i in kept)
    beside = {name: array[row, kept] for name, array in series.beside.items()}
    return Layers(int(series.steps[row]), series.step_unit, names, series.values[row, kept], beside)


def first_steps(series: Series, names: Sequence[str]) -> NDArray[np.int64]:
    """The first step at which each named layer has a value; each has one."""
    column = {str(name): i for i, name in enumerate(series.coords["layer"])}
    return np.array([series.steps[series.ok[:, column[name]]][0] for name in names])


def companion(series: Series, name: str) -> NDArray[np.float64]:
    """Of a series without dims, one for each step; NaN where the report does not hold it."""
    return series.beside.get(name, np.full(len(series.steps), np.nan))


def first_values(series: Series, names: Sequence[str]) -> NDArray[np.float64]:
    """Each named layer's value at the first step that has one, NaN if none has."""
    column = {str(name): i for i, name in enumerate(series.coords["layer"])}
    firsts = []
    for name in names:
        values = series.values[series.ok[:, column[name]], column[name]]
        firsts.append(float(values[0]) if len(values) else math.nan)
    return np.array(firsts)


def usable_checkpoints(report: Report, unit: str) -> list[tuple[int, CheckpointRow]]:
    """The checkpoints that could be read, with their steps, in order; none if they count else."""
    if report.step_unit != unit:
        return []
    usable = [(row.step, row) for row in report.checkpoints if row.status == "ok"]
    placed = [(step, row) for step, row in usable if step is not None]
    return sorted(placed, key=lambda pair: pair[0])


def amount(value: float) -> str:
    """Three significant digits, without an exponent where a reader expects none."""
    if 1000 <= abs(value) < 1e6:
        return f"{value:.0f}"
    return f"{value:.3g}"


def counted(number: float, unit: str) -> str:
    """`1 step`, `200 steps`."""
    return f"{number:.0f} {unit}" + ("" if number == 1 else "s")


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def also_in(names: Sequence[str], words: str = "also in") -> str:
    """`; also in …`: the names behind the first, "" where there are none."""
    return f"; {words} {listed(names[1:])}" if len(names) > 1 else ""


def shortened(lines: Sequence[str], most: int = 5) -> tuple[str, ...]:
    """The first lines of evidence, and a last one that counts the rest."""
    rest = len(lines) - most
    return (*lines[:most], f"and {rest} more") if rest > 0 else tuple(lines)
