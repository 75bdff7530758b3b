"""Live layers: the table of layers of a recording, those that deserve a look first.

Concern: layers that a finding names, in the order of the findings; then those where a metric
failed; then by how far they stand out from the others in any column (`layer_table`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from dyntools.findings import Finding, Severity
from dyntools.report import Report, Series
from dyntools.views.advice import MARKS, STYLES
from dyntools.views.cells import QUIET
from dyntools.views.columns import Column, grid
from dyntools.views.layer_table import (
    COURSE,
    PICKS,
    Pick,
    Picked,
    course_column,
    layers_of_most,
    picked_at,
    picked_cell,
)
from dyntools.views.selection import like, measured_rows
from dyntools.views.sparkline import BLOCKS

CONCERN, MODEL = "concern", "model"
OPTIMIZER = (
    Pick("relative_update", "", "relative\nupdate"),
    Pick("update_snr", "", "update\nSNR"),
    Pick("rms_spike", "", "RMS\nspike"),
    Pick("epsilon_underflow", "", "below\nepsilon"),
    Pick("trust_ratio", "", "trust\nratio"),
)
# Of weights and of the optimizer by turns, for only the first few fit.
COLUMNS = (PICKS[0], PICKS[3], OPTIMIZER[0], OPTIMIZER[1], PICKS[2], *OPTIMIZER[2:], PICKS[1],
           *PICKS[4:])  # fmt: skip


@dataclass(frozen=True)
class Order:
    """by: "concern", "model", or a metric of layers, the highest first. layers: a pattern."""

    by: str = CONCERN
    reverse: bool = False
    layers: str | None = None


def layers(
    report: Report, found: Sequence[Finding], order: Order, width: int, most: int
) -> RenderableType | None:
    """The table with at most `most` rows, None where no metric of layers has been measured."""
    series = {n: s for n, s in report.series.items() if s.dims == ("layer",) and s.values.size}
    picks = [pick for pick in COLUMNS if pick.metric in series]
    if order.by in series:
        own = next((p for p in picks if p.metric == order.by), _column(order.by))
        picks = [own, *(pick for pick in picks if pick != own)]
    if not picks:
        return None
    names = layers_of_most({pick.metric: series[pick.metric] for pick in picks})
    kept = [name for name in names if order.layers is None or like(name, order.layers)]
    if not kept:
        return Text(f"No layer is like {order.layers!r}.", QUIET, no_wrap=True, overflow="ellipsis")
    picked = {pick: picked_at(series[pick.metric], pick.part, names) for pick in picks}
    ranked = _ordered(names, picked, found, order)
    shown = [name for name in ranked if name in set(kept)][: max(most, 1)]
    at = [names.index(name) for name in shown]
    columns = [Column("", [_mark(name, found) for name in shown], right=False)]
    for pick, column in picked.items():
        columns.append(Column(pick.header, [picked_cell(column, i) for i in at]))
        if pick.metric == COURSE and len(measured_rows(series[COURSE])) > 1:
            columns.append(_low(course_column(series[COURSE], shown, width)))
    title = _title(series[picks[0].metric], len(shown), len(kept), order)
    title.truncate(width, overflow="ellipsis")
    return Group(title, grid("layer", shown, columns, width))


def _low(column: Column) -> Column:
    """A course without full blocks, which would touch the row above."""
    full, lower = BLOCKS[-1], BLOCKS[-2]
    cells = [cell.replace(full, lower) if isinstance(cell, str) else cell for cell in column.cells]
    return replace(column, cells=cells)


def _column(metric: str) -> Pick:
    return Pick(metric, "", metric.replace("_", "\n", 1).replace("_", " "))


def _ordered(
    names: Sequence[str], picked: Mapping[Pick, Picked], found: Sequence[Finding], order: Order
) -> list[str]:
    places = range(len(names))
    if order.by == MODEL:
        ranked = list(places)
    elif order.by == CONCERN:
        blamed = [name for one in found if one.severity != Severity.note for name in one.layers]
        first = {name: i for i, name in reversed(list(enumerate(blamed)))}
        extent = np.max([np.where(c.failed, np.inf, c.distance) for c in picked.values()], axis=0)
        ranked = sorted(places, key=lambda i: (first.get(names[i], len(blamed)), -extent[i]))
    else:
        values = next(column.values for pick, column in picked.items() if pick.metric == order.by)
        sign = 1.0 if order.reverse else -1.0
        ranked = sorted(places, key=lambda i: (np.isnan(values[i]), sign * values[i]))
        return [names[i] for i in ranked]
    return [names[i] for i in (reversed(ranked) if order.reverse else ranked)]


def _mark(name: str, found: Sequence[Finding]) -> Text:
    """That of the most severe finding which names the layer."""
    for one in found:
        if name in one.layers and one.severity != Severity.note:
            return Text(MARKS[one.severity], STYLES[one.severity])
    return Text()


def _title(series: Series, shown: int, count: int, order: Order) -> Text:
    step = f"{series.step_unit} {series.steps[measured_rows(series)[-1]]}"
    which = f"{count} layers" if shown == count else f"{shown} of {count} layers"
    by = {CONCERN: "by concern", MODEL: "as in the model"}.get(order.by, f"by {order.by}")
    title = Text.assemble(("Layers", "bold"), f" at {step}: {which}, {by}")
    if order.reverse:
        title.append(", reversed" if order.by in (CONCERN, MODEL) else ", lowest first")
    if order.layers is not None:
        title.append(f", like {order.layers}")
    return title
