"""Cells: one entry of a series as a short text in which its status shows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from dyntools.measurement import Status
from dyntools.report import Series
from dyntools.views.numbers import MISSING, number
from dyntools.views.sparkline import sparkline

UNCONVERGED = "~"
SPARK_WIDTH, WIDE_SPARK_WIDTH, WIDE = 8, 20, 110  # columns; chosen for terminals of 80 and 120

WHOLE_BELOW = 1e9  # whole numbers from here on are rounded like others

# Words carry the meaning; colours only help to find them. No red against green.
FAILED, QUIET, PICKED = "bold red", "dim", "bold"


def value_cell(series: Series, index: tuple[int, ...]) -> Text:
    """The value with its error, or a word for why there is none. index: (row, entry…)."""
    status = Status(int(series.status[index]))
    value = float(series.values[index])
    error = None if series.error is None else float(series.error[index])
    if status is Status.failed and not math.isfinite(value):
        return Text("failed", FAILED)
    if status in (Status.skipped, Status.absent):
        return Text(status.name, QUIET)
    if status is Status.unconverged:
        return Text(UNCONVERGED + number(value, error))
    return Text(number(value, error))


def companion_cells(values: NDArray[np.float64]) -> tuple[Text, ...]:
    """A column of companions, such as the null; counts and steps, all whole, keep every digit."""
    known = values[np.isfinite(values)]
    whole = bool((known == np.round(known)).all() and (np.abs(known) < WHOLE_BELOW).all())
    return tuple(
        Text(f"{x:.0f}" if whole and math.isfinite(x) else number(x), QUIET if x != x else "")
        for x in values.tolist()
    )


def spark_cell(values: NDArray[np.float64], width: int) -> str:
    """The course of (S,) values; `width` is that of the whole table."""
    return sparkline(values, WIDE_SPARK_WIDTH if width >= WIDE else SPARK_WIDTH) or MISSING
