"""Metric table: one metric in full; layers as rows, the most changed first, or steps as rows.

Driven by dims alone: no axis gives a row per step, one axis a row per entry, more axes a row per
entry with the last axis across. Ranks and other whole numbers keep their order; a single axis of
other numbers lies across, with a row per step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text

from dyntools.measurement import Status
from dyntools.report import Series
from dyntools.views.axis_table import across, noted, profile
from dyntools.views.cells import QUIET, UNCONVERGED, companion_cells, spark_cell, value_cell
from dyntools.views.columns import Column, Grid, grid, no_room
from dyntools.views.dims import alone, is_axis, is_index, words
from dyntools.views.fitted import Fitted
from dyntools.views.names import printable
from dyntools.views.numbers import DIMENSIONLESS, count, number, signed
from dyntools.views.probes import told
from dyntools.views.selection import (
    at,
    ends,
    entries,
    measured_rows,
    no_such_layer,
    present,
    rows_shown,
    with_layers,
)

MOST = 20  # rows; chosen: fits a terminal of 24 lines
SHORT = 8  # a header longer than this is cut into two lines


def metric_table(
    series: Series, *, step: int | None = None, layers: str | None = None, most: int | None = MOST
) -> RenderableType:
    """The table of one metric at `step` (default: the last), of the layers like the glob `layers`.

    most: rows shown, None for all. Raises ReportError for a step or layers that are not there.
    """
    if step is not None:
        series.index(step)
    shown = alone(with_layers(series, layers))
    if layers is not None and "layer" in series.dims and not shown.coords["layer"]:
        raise no_such_layer(layers, [series])
    return Fitted(lambda width: _built(shown, step, most, width))


def _built(series: Series, step: int | None, most: int | None, width: int) -> RenderableType:
    if not len(series.steps) or not series.values.size:
        return Group(*_title(series, ""), Text("no value was measured"), *_footer(series, 0, ()))
    if not series.dims:
        found, more = _by_step(series, step, most, width)
    elif len(series.dims) == 1 and is_axis(series.coords[series.dims[0]]):
        found, more = profile(series, step, most, width)
    elif len(series.dims) == 1:
        found, more = _by_entry(series, step, most, width)
    else:
        found, more = across(series, step, most, width)
    return Group(*_title(series, found.note), found, *_footer(series, more, no_room(found)))


def _title(series: Series, note: str) -> list[Text]:
    heading = Text.assemble((series.metric, "bold"), f": {printable(series.what)}")
    unit = f"in {printable(series.unit)}" if series.unit not in DIMENSIONLESS else ""
    facts = (_span(series), unit, printable(series.paper), note)
    return [heading, Text(" · ".join(fact for fact in facts if fact), QUIET)]


def _span(series: Series) -> str:
    """`3 epochs, 0 to 20`, `epoch 20`."""
    unit, steps = printable(series.step_unit), series.steps
    if len(steps) < 2:
        return f"{unit} {steps[0]}" if len(steps) else "no steps"
    return f"{count(len(steps), unit)}, {steps[0]} to {steps[-1]}"


def _footer(series: Series, more: int, left_out: Sequence[str]) -> list[Text]:
    lines = [told(series)] if told(series) else []
    if more:
        lines.append(f"… and {more} more (dyntools show REPORT --metric {series.metric})")
    lines += left_out
    if (series.status == Status.unconverged).any():
        lines.append(f"{UNCONVERGED} not converged: the error says how far it got")
    if series.omissions:
        not_measured = {omission.entry for omission in series.omissions}
        tensors = "layer" in series.dims and "" not in not_measured
        what = count(len(not_measured), "tensor") if tensors else "some parts or steps"
        lines.append(f"not measured: {what}; reasons: dyntools show REPORT")
    return [Text(line, QUIET) for line in lines]


def _by_step(series: Series, step: int | None, most: int | None, width: int) -> tuple[Grid, int]:
    """One number a step: evenly chosen steps, the last always among them."""
    rows, kept = rows_shown(series, step, most)
    columns = [Column("value", tuple(value_cell(series, (i,)) for i in kept))]
    columns += [_companion(key, array[kept]) for key, array in series.beside.items()]
    names = [str(series.steps[i]) for i in kept]
    return grid(series.step_unit, names, columns, width), len(rows) - len(kept)


def _by_entry(series: Series, step: int | None, most: int | None, width: int) -> tuple[Grid, int]:
    first, last = ends(series, step)
    change = _change(series, first, last)
    order = _order(series, last, change if last != first else series.values[last])
    index = is_index(series.coords[series.dims[0]])
    if index:
        order = np.arange(len(order))
    kept = order if most is None else order[:most]
    columns = [Column(at(series, last), tuple(value_cell(series, (last, i)) for i in kept))]
    if last != first:
        columns.insert(0, Column(at(series, first), _cells(series, first, kept)))
        columns.append(Column("change", tuple(signed(float(change[i])) for i in kept)))
        course = series.values[measured_rows(series)]
        sparks = tuple(spark_cell(course[:, i], width) for i in kept)
        columns.append(Column("along steps", sparks, right=False))
    known = [(k, a) for k, a in _companions(series) if not index or np.isfinite(a).any()]
    beside = [(key, array[last]) for key, array in known]
    same = {key: array[0] for key, array in beside if index and _constant(array)}
    columns += [_companion(key, array[kept]) for key, array in beside if key not in same]
    labels = entries(series)
    found = grid(words(series.dims[0]), [labels[i] for i in kept], columns, width)
    facts = [f"{words(key)} {number(float(value))}" for key, value in same.items()]
    return replace(found, note=noted(*facts, found.note)), len(order) - len(kept)


def _constant(values: NDArray[np.float64]) -> bool:
    """Whether a companion says the same of every entry, and so needs no column."""
    return len(values) > 1 and bool((values == values[0]).all())


def _cells(series: Series, row: int, kept: NDArray[np.intp]) -> tuple[Text, ...]:
    return tuple(value_cell(series, (row, int(i))) for i in kept)


def _change(series: Series, first: int, last: int) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.asarray(series.values[last] - series.values[first])


def _order(series: Series, last: int, size: NDArray[np.float64]) -> NDArray[np.intp]:
    """Failures first, then by decreasing size, what was not tried last."""
    failed = (series.status[last] == Status.failed) & present(series)[last]
    unknown = np.isnan(size)
    rank = np.where(failed, 0, np.where(~unknown, 1, 2))
    return np.lexsort((np.where(unknown, 0, -np.abs(size)), rank))


def _companion(key: str, values: NDArray[np.float64]) -> Column:
    return Column(_header(key), companion_cells(values))


def _companions(series: Series) -> list[tuple[str, NDArray[np.float64]]]:
    """What gives a number meaning comes first: its null, then its start."""
    leading = ("null", "initial", "ratio_to_initial", "threshold", "sampling_error")
    keys = [key for key in leading if key in series.beside]
    keys += [key for key in series.beside if key not in leading]
    return [(key, series.beside[key]) for key in keys]


def _header(key: str) -> str:
    """A companion's name, in two lines where it is long."""
    words = key.split("_")
    if len(key) <= SHORT or len(words) == 1:
        return " ".join(words)
    half = (len(words) + 1) // 2
    return " ".join(words[:half]) + "\n" + " ".join(words[half:])
