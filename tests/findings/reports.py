"""Reports made by hand: from a log, through the metrics; or layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dyntools.assembly import series_of
from dyntools.journal import Row
from dyntools.log import Log
from dyntools.measurement import Measurement, per_layer, stacked
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


def sharpness_report(
    values: Sequence[float],
    *,
    rate: float | Sequence[float] = 0.1,
    threshold_times_rate: float = 2.0,
    steps: Sequence[int] | None = None,
    metric: str = "hessian_top",
    smallest: Sequence[float] | None = None,
    error: float = 0.0,
    sampling_error: float | None = None,
    log: Log | None = None,
) -> Report:
    """λ_1 (and λ_-1) along steps, beside the rate and a threshold that is inverse to it."""
    count = len(values)
    steps = [100 * i for i in range(count)] if steps is None else steps
    rates = np.broadcast_to(np.asarray(rate, dtype=np.float64), (count,))
    ranks = (1, -1) if smallest is not None else (1,)
    rows = []
    for i, step in enumerate(steps):
        found = np.array([values[i]] + ([smallest[i]] if smallest is not None else []))
        beside = {
            "learning_rate": np.full(found.shape, rates[i]),
            "threshold": np.full(found.shape, threshold_times_rate / rates[i]),
        }
        if sampling_error is not None:
            beside["sampling_error"] = np.full(found.shape, sampling_error)
        one = Measurement(
            found, ("rank",), {"rank": ranks}, error=np.full(found.shape, error), beside=beside
        )
        whole = stacked("block", {"all": one}) if metric == "hessian_top" else one
        rows.append(Row(metric, step, 0.0, whole))
    return Report({"step_unit": "step"}, {metric: _series(metric, rows)}, log=log)


def blocks_report(
    values: Mapping[str, float],
    *,
    step: int = 1000,
    error: float = 0.0,
    sizes: Mapping[str, float] | None = None,
    checkpoints: Sequence[int] = (),
) -> Report:
    """block_sharpness at one step."""
    count = np.ones(len(values)) if sizes is None else np.array([sizes[name] for name in values])
    one = Measurement(
        np.array(list(values.values())),
        ("block",),
        {"block": tuple(values)},
        error=np.full(len(values), error),
        beside={"parameters": count},
    )
    series = _series("block_sharpness", [Row("block_sharpness", step, 0.0, one)])
    rows = rows_of(checkpoints)
    return Report({"step_unit": "step"}, {"block_sharpness": series}, rows)


def overlap_report(overlaps: Sequence[Sequence[float]]) -> Report:
    """gradient_subspace with the overlaps (S, k) with the checkpoint before."""
    rows = []
    for i, overlap in enumerate(overlaps):
        share = np.linspace(0.5, 0.9, len(overlap))
        one = Measurement(
            share,
            ("rank",),
            {"rank": tuple(range(1, len(overlap) + 1))},
            error=0 * share,
            beside={"overlap": np.array(overlap, dtype=np.float64)},
        )
        rows.append(Row("gradient_subspace", 100 * i, 0.0, one))
    return Report({}, {"gradient_subspace": _series("gradient_subspace", rows)})


def _series(metric: str, rows: Sequence[Row]) -> Series:
    words = dict.fromkeys(("group", "unit", "what", "paper"), "by hand")
    settings = {"probe": "1f3a: 300 examples, eval, float32"}
    entry = {"metric": metric, "version": 1, "settings": settings, "step_unit": "step", **words}
    return series_of({**entry, "dims": rows[0].measurement.dims}, rows)
