"""Layer table: the metrics of weights that decide most, one row a layer.

How far each layer turned from its start and when, how much it grew, how much of its rank is left
against a random matrix, the exponent of its tail. Of many layers those are shown that stand out
from the others in any column, in the order of the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text

from dyntools.measurement import Status
from dyntools.report import Series
from dyntools.views.cells import FAILED, PICKED, QUIET, spark_cell
from dyntools.views.columns import Column, grid, no_room
from dyntools.views.numbers import number
from dyntools.views.selection import entries, measured_rows

MOST, ALL = 12, 16  # layers shown of many; up to ALL each is; chosen: to fit one screen
# Modified z-score above which a layer is marked: Iglewicz & Hoaglin 1993, How to Detect and Handle
# Outliers. Of fewer layers than FEWEST none is marked: a median of so few is no norm (chosen).
OUTLYING, FEWEST = 3.5, 8
STANDS_OUT = "*"
COURSE = "layer_rotation"


@dataclass(frozen=True)
class Pick:
    """A column. part: "" shows the value, "/null" the value over its null, else that companion."""

    metric: str
    part: str
    header: str


# The most decisive first; as many as fit are shown.
PICKS = (
    Pick("layer_rotation", "", "rotation"),
    Pick("spectral_norm", "ratio_to_initial", "spectral\n× start"),
    Pick("weight_norm", "ratio_to_initial", "norm\n× start"),
    Pick("effective_rank", "/null", "eff.rank\n× random"),
    Pick("spectral_alpha", "", "alpha"),
    Pick("stable_rank", "/null", "st.rank\n× random"),
    Pick("condition_number", "", "condition\nnumber"),
)


@dataclass(frozen=True, eq=False)
class Picked:
    """A column before it is cut to the layers shown; (n,) each."""

    values: NDArray[np.float64]
    errors: NDArray[np.float64]
    failed: NDArray[np.bool_]
    of_whole: NDArray[np.bool_]  # the metric took the fused tensor as one
    distance: NDArray[np.float64]


def layer_table(series: Mapping[str, Series], width: int) -> RenderableType:
    """The table of the picked metrics among `series`, all of dims ("layer",) and not empty."""
    picks = [pick for pick in PICKS if pick.metric in series]
    names = layers_of_most({pick.metric: series[pick.metric] for pick in picks})
    picked = {pick: picked_at(series[pick.metric], pick.part, names) for pick in picks}
    kept = _standing_out(list(picked.values()), len(names))
    columns = []
    for pick, column in picked.items():
        columns.append(Column(pick.header, tuple(picked_cell(column, int(i)) for i in kept)))
        if pick.metric == COURSE and len(measured_rows(series[COURSE])) > 1:
            columns.append(course_column(series[COURSE], [names[i] for i in kept], width))
    found = grid("layer", [names[i] for i in kept], columns, width)
    return Group(
        _title(series[picks[0].metric], len(kept), len(names)),
        found,
        *(Text(line, QUIET) for line in _notes(picked, kept, len(names), found.note)),
        *(Text(line, QUIET) for line in no_room(found)),
    )


def layers_of_most(series: Mapping[str, Series]) -> tuple[str, ...]:
    """The layers that half of the metrics have: matrices, not every bias that has a norm; in the
    order of the model, the parts of a fused tensor where it stands."""
    counts = Counter(name for one in series.values() for name in entries(one))
    order = {name: i for i, name in enumerate(dict.fromkeys(map(_whole, counts)))}
    kept = [name for name, count in counts.items() if 2 * count >= len(series)]
    return tuple(sorted(kept, key=lambda name: order[_whole(name)]))


def _whole(name: str) -> str:
    """`c_attn.weight[query]` → `c_attn.weight`."""
    return name.partition("[")[0] if name.endswith("]") else name


def _places(series: Series, names: Sequence[str]) -> NDArray[np.intp]:
    """Where each name, or else the fused tensor it is a part of, stands in a series; -1 nowhere."""
    place = {name: i for i, name in enumerate(entries(series))}
    return np.array([place.get(n, place.get(_whole(n), -1)) for n in names], dtype=np.intp)


def picked_at(series: Series, part: str, names: tuple[str, ...]) -> Picked:
    """The numbers of a column at its last row; NaN for a layer that the metric does not have."""
    row = measured_rows(series)[-1]
    unknown = np.full(series.values.shape[1:], np.nan)
    values, errors = series.values[row], unknown
    if part == "/null":
        null = series.beside["null"][row] if "null" in series.beside else unknown
        values = np.divide(values, null, out=unknown.copy(), where=null > 0)
    elif part:
        values = series.beside[part][row] if part in series.beside else unknown
    elif series.error is not None:
        errors = series.error[row]
    at = _places(series, names)
    known = set(entries(series))
    of_whole = np.array([name not in known for name in names]) & (at >= 0)
    values = np.where(at < 0, np.nan, values[at])
    failed = (at >= 0) & (series.status[row][at] == Status.failed)
    return Picked(values, errors[at], failed, of_whole, _modified_z(values))


def _modified_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """|x - median| / (1.4826 MAD), (n,); 0 where nothing varies or nothing is known."""
    known = values[np.isfinite(values)]
    if len(known) < FEWEST:
        return np.zeros_like(values)
    distance = np.abs(values - np.median(known))
    scale = 1.4826 * np.median(np.abs(known - np.median(known))) or np.std(known) or np.inf
    return np.nan_to_num(distance / scale, nan=0.0, posinf=np.inf)


def _standing_out(columns: list[Picked], count: int) -> NDArray[np.intp]:
    """The layers shown, in their own order: failures, then those farthest from the median."""
    if count <= ALL:
        return np.arange(count)
    extent = np.max([np.where(c.failed, np.inf, c.distance) for c in columns], axis=0)
    return np.sort(np.argsort(-extent, kind="stable")[:MOST])


def picked_cell(column: Picked, i: int) -> Text:
    value = float(column.values[i])
    if column.failed[i] and not np.isfinite(value):
        return Text("failed", FAILED)
    text = number(value, float(column.errors[i]))
    if column.of_whole[i]:
        text = f"({text})"
    if column.distance[i] > OUTLYING:
        return Text(STANDS_OUT + text, PICKED)
    return Text(text, QUIET if np.isnan(value) else "")


def course_column(series: Series, names: list[str], width: int) -> Column:
    values = series.values[measured_rows(series)]
    at = _places(series, names).tolist()
    cells = tuple(spark_cell(values[:, i], width) if i >= 0 else "" for i in at)
    return Column("along\nsteps", cells, right=False)


def _title(series: Series, shown: int, all_layers: int) -> Text:
    step = f"{series.step_unit} {series.steps[measured_rows(series)[-1]]}"
    which = f"{all_layers} layers"
    if shown < all_layers:
        which = f"the {shown} of {all_layers} layers that stand out most"
    return Text.assemble(("Weights", "bold"), f" at {step}: {which}")


def _notes(
    picked: Mapping[Pick, Picked], kept: NDArray[np.intp], count: int, names_note: str
) -> list[str]:
    notes = []
    if any((column.distance[kept] > OUTLYING).any() for column in picked.values()):
        notes.append(f"{STANDS_OUT} stands out from the other layers")
    if any(column.of_whole[kept].any() for column in picked.values()):
        notes.append("( ) of the whole fused tensor")
    if names_note:
        notes.append(names_note)
    lines = [" · ".join(notes)] if notes else []
    if count > len(kept):
        lines.append(f"… and {count - len(kept)} more (dyntools show REPORT --metric NAME)")
    return lines
