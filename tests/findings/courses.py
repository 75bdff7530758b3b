"""Reports made by hand of series along steps, with errors, and companions that change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dyntools.assembly import series_of
from dyntools.journal import Row
from dyntools.measurement import Measurement, per_layer
from dyntools.report import Report

Course = Sequence[float]


def layers_course(
    metric: str,
    values: Mapping[str, Course],
    *,
    steps: Sequence[int],
    error: float | Mapping[str, float] | None = None,
    attributes: Mapping[str, object] | None = None,
    **beside: Mapping[str, Course],
) -> Report:
    """One series over layers. error: of all values, or one for each layer."""
    rows = []
    for i, step in enumerate(steps):
        known = dict.fromkeys(values, error) if isinstance(error, float) else error
        one = per_layer(
            {name: column[i] for name, column in values.items()},
            error=known,  # type: ignore[arg-type]
            beside={
                key: {name: column[i] for name, column in table.items()}
                for key, table in beside.items()
            },
        )
        rows.append(Row(metric, step, 0.0, one))
    return _report(metric, ("layer",), rows, attributes)


def numbers_course(
    metric: str,
    values: Course,
    *,
    steps: Sequence[int],
    error: float | None = None,
    attributes: Mapping[str, object] | None = None,
    **beside: Course,
) -> Report:
    """One series of single numbers."""
    rows = [
        Row(
            metric,
            step,
            0.0,
            Measurement(
                np.array(values[i]),
                error=None if error is None else np.array(error),
                beside={name: np.array(column[i]) for name, column in beside.items()},
            ),
        )
        for i, step in enumerate(steps)
    ]
    return _report(metric, (), rows, attributes)


def together(*reports: Report) -> Report:
    """All their series, with the attributes of the first."""
    series = {name: one for report in reports for name, one in report.series.items()}
    return Report(reports[0].attributes, series)


def _report(
    metric: str,
    dims: tuple[str, ...],
    rows: Sequence[Row],
    attributes: Mapping[str, object] | None,
) -> Report:
    words = dict.fromkeys(("group", "unit", "what", "paper"), "by hand")
    entry = {"metric": metric, "version": 1, "settings": {}, "step_unit": "step", **words}
    series = series_of({**entry, "dims": dims}, rows)
    return Report({"step_unit": "step", **(attributes or {})}, {metric: series})
