"""Metric table: one metric in full; layers as rows, the most changed first, or steps as rows.

Driven by dims alone: no axis gives a row per step, one axis a row per entry, more axes a row per
entry with the last axis across.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text

from dyntools.measurement import Status
from dyntools.report import Series
from dyntools.views.cells import QUIET, UNCONVERGED, companion_cells, spark_cell, value_cell
from dyntools.views.columns import Column, Grid, grid
from dyntools.views.fitted import Fitted
from dyntools.views.names import printable
from dyntools.views.numbers import DIMENSIONLESS, count, number, signed
from dyntools.views.selection import (
    entries,
    measured_rows,
    no_such_layer,
    present,
    with_layers,
)

ACROSS = 5  # columns for an axis of numbers, such as quantiles; chosen: fits 80 columns
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
    shown = with_layers(series, layers)
    if layers is not None and "layer" in series.dims and not shown.coords["layer"]:
        raise no_such_layer(layers, [series])
    return Fitted(lambda width: _built(shown, step, most, width))


def _built(series: Series, step: int | None, most: int | None, width: int) -> RenderableType:
    if not len(series.steps) or not series.values.size:
        return Group(*_title(series, ""), Text("no value was measured"), *_footer(series, 0, ()))
    if not series.dims:
        found, more = _by_step(series, step, most, width)
    elif len(series.dims) == 1:
        found, more = _by_entry(series, step, most, width)
    else:
        found, more = _across(series, step, most, width)
    return Group(*_title(series, found.note), found, *_footer(series, more, found.left_out))


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
    lines = []
    if more:
        lines.append(f"… and {more} more (dyntools show REPORT --metric {series.metric})")
    if left_out:
        lines.append(f"no room at this width: {', '.join(left_out)}")
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
    rows = measured_rows(series) if step is None else np.array([series.index(step)])
    kept = rows
    if most is not None and len(rows) > most:
        kept = rows[np.unique(np.linspace(0, len(rows) - 1, most).round().astype(int))]
    columns = [Column("value", tuple(value_cell(series, (i,)) for i in kept))]
    columns += [_companion(key, array[kept]) for key, array in series.beside.items()]
    names = [str(series.steps[i]) for i in kept]
    return grid(series.step_unit, names, columns, width), len(rows) - len(kept)


def _by_entry(series: Series, step: int | None, most: int | None, width: int) -> tuple[Grid, int]:
    first, last = _ends(series, step)
    change = _change(series, first, last)
    order = _order(series, last, change if last != first else series.values[last])
    kept = order if most is None else order[:most]
    columns = [Column(_at(series, last), tuple(value_cell(series, (last, i)) for i in kept))]
    if last != first:
        columns.insert(0, Column(_at(series, first), _cells(series, first, kept)))
        columns.append(Column("change", tuple(signed(float(change[i])) for i in kept)))
        course = series.values[measured_rows(series)]
        sparks = tuple(spark_cell(course[:, i], width) for i in kept)
        columns.append(Column("along steps", sparks, right=False))
    columns += [_companion(key, array[last, kept]) for key, array in _companions(series)]
    labels = entries(series)
    found = grid(series.dims[0], [labels[i] for i in kept], columns, width)
    return found, len(order) - len(kept)


def _across(series: Series, step: int | None, most: int | None, width: int) -> tuple[Grid, int]:
    """Rows for all axes but the last, whose labels (or a choice of its numbers) are columns."""
    first, last = _ends(series, step)
    labels = series.coords[series.dims[-1]]
    size = len(labels)
    flat = series.values.reshape(len(series.steps), -1, size)
    with np.errstate(invalid="ignore", over="ignore"):
        change = np.sqrt(np.nansum((flat[last] - flat[first]) ** 2, axis=-1))
    order = np.argsort(-change, kind="stable")
    kept = order if most is None else order[:most]
    outer = [series.coords[dim] for dim in series.dims[:-1]]
    names = [" · ".join(map(str, parts)) for parts in itertools.product(*outer)]
    chosen = range(size)
    numeric = not isinstance(labels[0], str)
    if numeric and size > ACROSS:
        chosen = np.unique(np.linspace(0, size - 1, ACROSS).round().astype(int)).tolist()
    columns = []
    if numeric and size > ACROSS:
        sparks = tuple(spark_cell(_log_if_wide(flat[last, i]), width) for i in kept)
        columns.append(Column(f"along\n{series.dims[-1]}", sparks, right=False))
    for j in chosen:
        cells = tuple(_flat_cell(series, last, int(i), j) for i in kept)
        columns.append(Column(f"{series.dims[-1]}\n{_label(labels[j])}", cells))
    found = grid(" · ".join(series.dims[:-1]), [names[i] for i in kept], columns, width)
    where = f"at {_at(series, last)}"
    found = replace(found, note=f"{where} · {found.note}" if found.note else where)
    return found, len(order) - len(kept)


def _flat_cell(series: Series, row: int, i: int, j: int) -> Text:
    outer = np.unravel_index(i, series.values.shape[1:-1])
    return value_cell(series, (row, *(int(k) for k in outer), j))


def _ends(series: Series, step: int | None) -> tuple[int, int]:
    """The first and the last (or chosen) row that hold anything."""
    rows = measured_rows(series)
    return int(rows[0]), int(rows[-1]) if step is None else series.index(step)


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
    leading = ("null", "initial", "ratio_to_initial")
    keys = [key for key in leading if key in series.beside]
    keys += [key for key in series.beside if key not in leading]
    return [(key, series.beside[key]) for key in keys]


def _at(series: Series, row: int) -> str:
    return f"{series.step_unit} {series.steps[row]}"


def _header(key: str) -> str:
    """A companion's name, in two lines where it is long."""
    words = key.split("_")
    if len(key) <= SHORT or len(words) == 1:
        return " ".join(words)
    half = (len(words) + 1) // 2
    return " ".join(words[:half]) + "\n" + " ".join(words[half:])


def _label(label: str | float) -> str:
    return label if isinstance(label, str) else number(label)


def _log_if_wide(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithms where positive values span more than two decades, so that a tail stays visible."""
    positive = values[np.isfinite(values)]
    if len(positive) and positive.min() > 0 and positive.max() > 100 * positive.min():
        return np.asarray(np.log10(values))
    return values
