"""Axis table: the part of a metric table in which an axis of numbers or ranks lies across."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from dyntools.measurement import Status
from dyntools.report import Series
from dyntools.views.cells import spark_cell, value_cell
from dyntools.views.columns import Column, Grid, grid
from dyntools.views.dims import choice, in_order, is_numeric, words
from dyntools.views.numbers import label
from dyntools.views.selection import at, ends, rows_shown

ACROSS = 5  # columns for an axis of numbers, such as quantiles; chosen: fits 80 columns
LONG = 12  # the name of an axis longer than this is told once and not above each column


def profile(series: Series, step: int | None, most: int | None, width: int) -> tuple[Grid, int]:
    """An axis of numbers: a choice of them across, a row a step."""
    rows, kept = rows_shown(series, step, most)
    labels = series.coords[series.dims[0]]
    head = _head(series.dims[0])
    courses = tuple(spark_cell(_log_if_wide(series.values[i]), width) for i in kept)
    columns = [Column(f"along\n{head}", courses, right=False)]
    for j in choice(labels, ACROSS):
        cells = tuple(value_cell(series, (int(i), j)) for i in kept)
        columns.append(Column(f"{head}\n{label(labels[j])}", cells))
    names = [str(series.steps[i]) for i in kept]
    found = grid(series.step_unit, names, columns, width)
    return replace(found, note=noted(_across_note(series), found.note)), len(rows) - len(kept)


def across(series: Series, step: int | None, most: int | None, width: int) -> tuple[Grid, int]:
    """Rows for all axes but the last, whose labels (or a choice of its numbers) are columns."""
    first, last = ends(series, step)
    labels = series.coords[series.dims[-1]]
    size = len(labels)
    flat = series.values.reshape(len(series.steps), -1, size)
    with np.errstate(invalid="ignore", over="ignore"):
        change = np.sqrt(np.nansum((flat[last] - flat[first]) ** 2, axis=-1))
    order = np.argsort(-change, kind="stable")
    if any(is_numeric(series.coords[dim]) for dim in series.dims[:-1]):
        order = np.arange(len(order))
    kept = order if most is None else order[:most]
    outer = [[label(x) for x in series.coords[dim]] for dim in series.dims[:-1]]
    names = [" · ".join(parts) for parts in itertools.product(*outer)]
    head = _head(series.dims[-1])
    columns = []
    if is_numeric(labels) and size > ACROSS:
        sparks = tuple(spark_cell(_log_if_wide(flat[last, i]), width) for i in kept)
        columns.append(Column(f"along\n{head}", sparks, right=False))
    named = not is_numeric(labels)
    for j in in_order(labels) if named else choice(labels, ACROSS):
        cells = tuple(_flat_cell(series, last, int(i), j) for i in kept)
        columns.append(Column(f"{head}\n{label(labels[j])}", cells))
    found = grid(" · ".join(map(words, series.dims[:-1])), [names[i] for i in kept], columns, width)
    note = noted(f"at {at(series, last)}", _across_note(series), found.note)
    return replace(found, note=note), len(order) - len(kept)


def noted(*notes: str) -> str:
    """The notes that are not empty, in one line."""
    return " · ".join(note for note in notes if note)


def _head(dim: str) -> str:
    """The name of an axis over each of its numbers, if it is short."""
    return words(dim) if len(dim) <= LONG else ""


def _across_note(series: Series) -> str:
    dim = series.dims[-1]
    return "" if _head(dim) else f"across: {words(dim)}"


def _flat_cell(series: Series, row: int, i: int, j: int) -> Text:
    """Empty where there is no such thing: a vector has no second axis to average over."""
    outer = np.unravel_index(i, series.values.shape[1:-1])
    named = not is_numeric(series.coords[series.dims[-1]])
    if named and series.status[(row, *outer, j)] == Status.absent:
        return Text("")
    return value_cell(series, (row, *(int(k) for k in outer), j))


def _log_if_wide(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithms where positive values span more than two decades, so that a tail stays visible."""
    positive = values[np.isfinite(values)]
    if len(positive) and positive.min() > 0 and positive.max() > 100 * positive.min():
        return np.asarray(np.log10(values))
    return values
