"""Reports made by hand: from a log, through the metrics; or layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dyntools.assembly import series_of
from dyntools.journal import Row
from dyntools.log import Log
from dyntools.measurement import per_layer
from dyntools.metrics.logs import LOGS
from dyntools.report import CheckpointRow, Report, Series
from tests.metrics.logs.hand_made import snapshot_of


def report_of_log(
    log: Log, *, checkpoints: Sequence[int] = (), step_unit: str = "step", at: int | None = None
) -> Report:
    """All log metrics at the end of the log, or at one step of it."""
    snapshot = snapshot_of(log, at)
    series = {}
    for metric in LOGS:
        entry = {
            "metric": metric.name,
            "settings": metric.defaults,
            "step_unit": log.unit,
            **{name: getattr(metric, name) for name in ("group", "version", "unit", "dims")},
            **{name: getattr(metric, name) for name in ("what", "paper")},
        }
        row = Row(metric.name, snapshot.step, 0.0, metric.measure(snapshot))
        series[metric.name] = series_of(entry, [row])
    return Report({"step_unit": step_unit}, series, rows_of(checkpoints), log)


def rows_of(steps: Sequence[int]) -> tuple[CheckpointRow, ...]:
    return tuple(
        CheckpointRow(f"step-{step}.pt", "torch", step, "`step` in the file", "ok")
        for step in steps
    )


def layer_report(
    metric: str,
    values: Mapping[str, Sequence[float]],
    *,
    steps: Sequence[int],
    log: Log | None = None,
    **beside: Mapping[str, float],
) -> Report:
    """One series over layers; a companion is one number a layer, the same at all steps."""
    rows = []
    for i, step in enumerate(steps):
        here = {name: column[i] for name, column in values.items()}
        rows.append(Row(metric, step, 0.0, per_layer(here, beside=beside)))
    words = dict.fromkeys(("group", "unit", "what", "paper"), "by hand")
    entry = {"metric": metric, "version": 1, "settings": {}, "step_unit": "step", **words}
    series: Series = series_of({**entry, "dims": ("layer",)}, rows)
    return Report({"step_unit": "step"}, {metric: series}, log=log)


def wandering(generator: np.random.Generator, count: int, memory: float) -> np.ndarray:
    """Noise of unit variance whose neighbours correlate by `memory`, (count,)."""
    noise = generator.normal(size=count)
    for i in range(1, count):
        noise[i] = memory * noise[i - 1] + np.sqrt(1 - memory**2) * noise[i]
    return noise
