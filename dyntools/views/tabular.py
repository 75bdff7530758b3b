"""Tabular: a report as JSON or CSV, for programs. The shapes here are promises.

JSON: `{"report": …, "series": {metric: …}}`, see `to_json`. NaN and infinity are null, for strict
JSON has neither; the status beside them says why.

CSV: one number a line. Columns: metric, step, one for each dim that any metric has (layer,
fraction, …; empty where a metric lacks it), quantity, value, status. quantity is "value", "error",
or the name of a companion such as "null". Numbers have all their digits; the unknown is empty.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyntools.errors import ReportError
from dyntools.log import Curve, Log
from dyntools.measurement import Status
from dyntools.report import Report, Series
from dyntools.views.selection import LAYER, no_such_layer, with_layers, with_step

_WORDS = np.array([status.name for status in Status], dtype=object)


def to_json(
    report: Report,
    *,
    metric: str | None = None,
    step: int | None = None,
    layer: str | None = None,
) -> dict[str, Any]:
    """The report as plain values that `json.dumps(…, allow_nan=False)` takes.

    "report": the attributes, "checkpoints", "notes", "log" (null if there is none).
    "series": by metric; "values", "error" (null if unknown), "status" and each of "beside" are
    nested lists along "dims", of which the first is "step".
    Raises ReportError when the filters leave nothing.
    """
    chosen = _chosen(report, metric, step, layer)
    return {
        "report": {
            **{str(key): _plain(value) for key, value in report.attributes.items()},
            "checkpoints": [asdict(row) for row in report.checkpoints],
            "notes": list(report.notes),
            "log": None if report.log is None else _log(report.log),
        },
        "series": {series.metric: _series(series) for series in chosen},
    }


def to_csv(
    report: Report,
    *,
    metric: str | None = None,
    step: int | None = None,
    layer: str | None = None,
) -> Iterator[str]:
    """The lines of a CSV file without their ends, the header first. Raises like `to_json`."""
    chosen = _chosen(report, metric, step, layer)
    dims = tuple(dict.fromkeys(dim for series in chosen for dim in series.dims))
    rows = itertools.chain.from_iterable(_rows(series, dims) for series in chosen)
    return _lines(itertools.chain([("metric", "step", *dims, "quantity", "value", "status")], rows))


def _chosen(
    report: Report, metric: str | None, step: int | None, layer: str | None
) -> list[Series]:
    wanted = list(report.series.values()) if metric is None else [report[metric]]
    layered = [with_layers(series, layer) for series in wanted]
    if layer is not None and not any(series.coords.get(LAYER) for series in layered):
        raise no_such_layer(layer, wanted)
    if metric is not None and step is not None:
        wanted[0].index(step)
    chosen = [with_step(series, step) for series in layered]
    if step is not None and not any(len(series.steps) for series in chosen):
        known = sorted({s for series in wanted for s in series.steps.tolist()})
        raise ReportError(
            f"Nothing was measured at step {step}.", remedy="steps: " + ", ".join(map(str, known))
        )
    return chosen


def _series(series: Series) -> dict[str, Any]:
    return {
        "version": series.version,
        "group": series.group,
        "unit": series.unit,
        "what": series.what,
        "paper": series.paper,
        "settings": _plain(series.settings),
        "step_unit": series.step_unit,
        "steps": series.steps.tolist(),
        "dims": ["step", *series.dims],
        "coords": {dim: list(labels) for dim, labels in series.coords.items()},
        "values": _nested(series.values),
        "error": None if series.error is None else _nested(series.error),
        "status": _WORDS[series.status].tolist(),
        "beside": {key: _nested(array) for key, array in series.beside.items()},
        "omissions": [asdict(omission) for omission in series.omissions],
        "method": list(series.method),
    }


def _nested(array: NDArray[np.float64]) -> Any:
    return np.where(np.isfinite(array), array, None).tolist()  # type: ignore[call-overload]


def _log(log: Log) -> dict[str, Any]:
    return {
        "sources": list(log.sources),
        "formats": list(log.formats),
        "unit": log.unit,
        "roles": {role.value: name for role, name in log.roles.items()},
        "curves": {name: _curve(curve) for name, curve in log.curves.items()},
        "notes": list(log.notes),
    }


def _curve(curve: Curve) -> dict[str, Any]:
    steps, values = curve.steps.tolist(), _nested(curve.values)
    return {"unit": curve.unit, "source": curve.source, "steps": steps, "values": values}


def _plain(value: Any) -> Any:
    """Attributes and settings as JSON knows them."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple | set):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _rows(series: Series, dims: tuple[str, ...]) -> Iterator[tuple[object, ...]]:
    quantities = {"value": series.values}
    if series.error is not None:
        quantities["error"] = series.error
    quantities |= series.beside
    for row, step in enumerate(series.steps.tolist()):
        for index in np.ndindex(series.values.shape[1:]):
            at = dict(zip(series.dims, index, strict=True))
            labels = [series.coords[dim][at[dim]] if dim in at else "" for dim in dims]
            status = Status(int(series.status[row, *index])).name
            for quantity, array in quantities.items():
                value = float(array[row, *index])
                text = "" if math.isnan(value) else repr(value)
                yield (series.metric, step, *labels, quantity, text, status)


def _lines(rows: Iterable[tuple[object, ...]]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="")
    for row in rows:
        writer.writerow(row)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
