"""Compare data: a comparison as JSON or CSV, for programs. The shapes here are promises.

JSON: docs/reference/json.md. Every key is listed here, so that a field of a record becomes no
promise by chance. NaN and infinity are null. CSV: one number a line, all its digits, the unknown
empty; columns in `COLUMNS`. The change and its test stand on the line of the side they belong to,
against the first.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

import numpy as np

from dyntools.comparison.compared import Compared, Row
from dyntools.comparison.coordinate_check import CoordinateCheck, Fit
from dyntools.comparison.differing import Difference, Number
from dyntools.comparison.given import Given
from dyntools.comparison.lr_sensitivity import LrSensitivity, Point, Sensitivity
from dyntools.comparison.overview import Overview
from dyntools.comparison.powers import Power
from dyntools.comparison.side import Side
from dyntools.comparison.width_transfer import Curves, WidthTransfer
from dyntools.measurement import Status

SCHEMA, SCHEMA_VERSION = "dyntools-compare", "1.0.0"  # semantic: keys are added, not renamed
VIEWED: dict[type, tuple[str, ...]] = {  # what is told of the records of the views
    WidthTransfer: ("sides", "widths", "curves", "sentence"),
    Curves: ("metric", "entry", "places", "values", "spread", "p", "power", "median_spread",
             "smallest_p", "verdict"),
    CoordinateCheck: ("sides", "widths", "metric", "at", "fits", "note", "sentence"),
    Fit: ("layer", "first", "last", "values"),
    Given: ("values", "sentence"),
    Power: ("exponent", "error", "points", "left_out", "flat"),
    LrSensitivity: ("loss", "recipes", "one_grid"),
    Sensitivity: ("recipe", "points", "best", "value", "at_edge"),
    Point: ("rate", "losses", "starts", "diverged", "counted"),
}  # fmt: skip
DIFFERENCE = ("change", "relative", "uncertainty", "p", "p_adjusted", "floor", "effect", "samples",
              "outcome", "why")  # fmt: skip
TESTED = ("change", "relative", "uncertainty", "p", "p_adjusted", "outcome", "why")
COLUMNS = ("metric", "entry", "place", "step", "side", "value", "error", "status", "samples",
           *TESTED)  # fmt: skip


def metric_json(sides: Sequence[Side], compared: Compared) -> dict[str, Any]:
    """One metric, all its entries at all places."""
    return _headed({"sides": _sides(sides), "metrics": {compared.metric: _metric(compared)}})


def overview_json(found: Overview) -> dict[str, Any]:
    """The headline of every metric at its last place, and the findings that not all sides have."""
    metrics = {}
    for line in found.lines:
        last = _metric(line.compared, rows=[(line.compared.last, line.row)])
        metrics[line.compared.metric] = {"of": line.of, **last}
    findings = [
        {
            "rule": one.finding.rule,
            "severity": one.finding.severity.value,
            "sentence": one.finding.sentence,
            "reports": dict(zip((side.name for side in found.sides), one.seen, strict=True)),
        }
        for one in found.seen
    ]
    told = {
        "sides": _sides(found.sides),
        "metrics": metrics,
        "furthest_apart": [
            {
                "metric": one.compared.metric,
                "entry": one.row.entry,
                "spread": _plain(one.row.spread),
            }
            for one in found.far
        ],
        "findings": findings,
        "without_headline": list(found.curves),
        "unshared": {metric: list(who) for metric, who in found.unshared.items()},
        "refused": dict(found.refused),
    }
    return _headed(told)


def view_json(name: str, found: object) -> dict[str, Any]:
    """A view over several runs: what `VIEWED` lists of its records."""
    return _headed({"view": name, **_plain(found)})


def metric_csv(compared: Compared) -> Iterator[str]:
    """The lines of a CSV file without their ends, the header first."""
    places = range(compared.last + 1)
    return _lines(_csv_rows(compared, [(p, row) for p in places for row in compared.rows(p)]))


def overview_csv(found: Overview) -> Iterator[str]:
    """The headlines; the entry says what was taken of the metric."""
    return _lines(
        [x if i != 1 else line.of for i, x in enumerate(row)]
        for line in found.lines
        for row in _csv_rows(line.compared, [(line.compared.last, line.row)])
    )


def _headed(told: dict[str, Any]) -> dict[str, Any]:
    return {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **told}


def _sides(sides: Sequence[Side]) -> list[dict[str, Any]]:
    return [
        {"name": side.name, "files": list(side.files), "left_out": list(side.left_out)}
        for side in sides
    ]


def _metric(compared: Compared, rows: Iterable[tuple[int, Row]] | None = None) -> dict[str, Any]:
    if rows is None:
        places = range(compared.last + 1)
        rows = ((place, row) for place in places for row in compared.rows(place))
    return {
        "unit": compared.unit,
        "what": compared.what,
        "paper": compared.paper,
        "aligned_by": compared.alignment.by.value,
        "alignment": compared.alignment.sentence,
        "places": _plain(compared.alignment.places),
        "sides": list(compared.sides),
        "without": list(compared.without),
        "only": {entry: list(who) for entry, who in compared.only.items()},
        "rows": [
            {
                "entry": row.entry,
                "place": place,
                "steps": _steps(compared, place),
                "numbers": [_number(number) for number in row.numbers],
                "differences": [_difference(one) for one in row.differences],
            }
            for place, row in rows
        ],
    }


def _steps(compared: Compared, place: int) -> list[int]:
    """The step of the first report of each side."""
    first = [int(np.flatnonzero(compared.owner == i)[0]) for i in range(len(compared.sides))]
    return [int(compared.alignment.steps[i, place]) for i in first]


def _number(number: Number) -> dict[str, Any]:
    return {
        "value": _plain(number.value),
        "error": _plain(number.error),
        "status": number.status.name,
        "samples": number.samples,
    }


def _difference(one: Difference) -> dict[str, Any]:
    return {key: _plain(getattr(one, key)) for key in DIFFERENCE}


def _csv_rows(compared: Compared, rows: Iterable[tuple[int, Row]]) -> Iterator[list[object]]:
    for place, row in rows:
        where = compared.alignment.places[place]
        at = "last" if math.isnan(where) else repr(float(where))
        steps = _steps(compared, place)
        for i, name in enumerate(compared.sides):
            number = row.numbers[i]
            tested = _difference(row.differences[i - 1]) if i else dict.fromkeys(TESTED)
            numbers = [number.value, number.error]
            cells = ["" if math.isnan(x) else repr(x) for x in numbers]
            told = ["" if tested[key] is None else tested[key] for key in TESTED]
            status = Status(number.status).name
            place_of = [compared.metric, row.entry, at, steps[i], name]
            yield [*place_of, *cells, status, number.samples, *told]


def _lines(rows: Iterable[Sequence[object]]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="")
    for row in (COLUMNS, *rows):
        writer.writerow(row)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def _plain(value: Any) -> Any:
    """Records by what is listed of them, arrays and enumerations, as JSON knows them."""
    if type(value) in VIEWED:
        return {name: _plain(getattr(value, name)) for name in VIEWED[type(value)]}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
