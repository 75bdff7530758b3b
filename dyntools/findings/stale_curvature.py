"""Stale curvature: what was measured at one checkpoint no longer holds at the next.

Eigenvectors: the overlap Tr(P_j(t) P_j(t')) / j with the checkpoint before is small for every j
(Gur-Ari et al. 2018, Gradient descent happens in a tiny subspace, arXiv:1812.04754, who found them
to move little). Eigenvalues: λ_1 changed by more than its errors. Learning rate: the run went on at
another one, and the sharpness follows the rate (Cohen et al. 2021, arXiv:2103.00065).
"""

from __future__ import annotations

import math

import numpy as np

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import amount
from dyntools.findings.sharpness import along_rank, bounds, sharpness
from dyntools.log import Role
from dyntools.report import Report, Series

TURNED = 0.5  # overlap below which a space is another one; chosen
CHANGED = (
    1.5  # times, between the nearer bounds; chosen: beyond what 8 to 30 % of sampling explains
)
OTHER_RATE = 1.5  # times; chosen, for the edge moves by as much


def rule(report: Report) -> tuple[Finding, ...]:
    reasons: list[tuple[int, str]] = []
    for one in (
        _turned(report.series.get("gradient_subspace")),
        *(_changed(report.series.get(metric)) for metric in ("hessian_top", "adam_sharpness")),
        _other_rate(report),
    ):
        reasons += [one] if one is not None else []
    if not reasons:
        return ()
    step, first = reasons[0]
    return (
        Finding(
            rule="stale_curvature",
            severity=Severity.note,
            sentence=f"Curvature measured earlier no longer holds: {first}.",
            evidence=tuple(reason for _, reason in reasons),
            meaning=(
                "Eigenvalues, eigenvectors and a distance to the edge belong to the checkpoint and "
                "the learning rate at which they were measured."
            ),
            remedy=(
                "Measure the checkpoint you decide about; refresh a preconditioner, a top "
                "eigenspace or a learning-rate ceiling at least as often as these checkpoints."
            ),
            paper="Gur-Ari et al. 2018, arXiv:1812.04754; Cohen et al. 2021, arXiv:2103.00065",
            caveat=(
                "Checkpoints far apart differ in any run, most of all early. Where eigenvalues lie "
                "close together their vectors turn freely and only the whole space has a meaning."
            ),
            step=step,
        ),
    )


def _turned(series: Series | None) -> tuple[int, str] | None:
    """The largest overlap over all j at the last step that has one."""
    overlap = None if series is None else series.beside.get("overlap")
    if series is None or overlap is None or series.dims != ("rank",):
        return None
    rows = np.flatnonzero(np.isfinite(overlap).any(axis=1))
    if not len(rows):
        return None
    row = int(rows[-1])
    best = int(np.nanargmax(overlap[row]))
    if overlap[row, best] >= TURNED:
        return None
    return int(series.steps[row]), (
        f"of the top eigenspaces with 1 to {series.coords['rank'][-1]:.0f} dimensions none at "
        f"{series.step_unit} {series.steps[row]} overlaps with that of the checkpoint before by "
        f"more than {amount(100 * float(overlap[row, best]))} %"
    )


def _changed(series: Series | None) -> tuple[int, str] | None:
    place = along_rank(series, 1)
    if series is None or place is None:
        return None
    values, low, high, _ = bounds(series, place)
    known = np.flatnonzero(np.isfinite(values))
    if len(known) < 2:
        return None
    before, last = int(known[-2]), int(known[-1])
    rose = low[last] > CHANGED * high[before] > 0
    fell = low[before] > CHANGED * high[last] > 0
    if not rose and not fell:
        return None
    which = "λ1 of the preconditioned Hessian" if series.metric == "adam_sharpness" else "λ1"
    return int(series.steps[last]), (
        f"{which} went from {amount(float(values[before]))} at {series.step_unit} "
        f"{series.steps[before]} to {amount(float(values[last]))} at {series.steps[last]}"
    )


def _other_rate(report: Report) -> tuple[int, str] | None:
    """The last logged rate is another than at the last step whose sharpness was measured."""
    curve = report.log.curve(Role.learning_rate) if report.log is not None else None
    measured = [one for one in sharpness(report) if curve is not None and one.unit == curve.unit]
    if curve is None or not measured:
        return None
    latest = max(measured, key=lambda one: int(one.steps[-1]))
    usable = np.flatnonzero(np.isfinite(curve.values) & (curve.values > 0))
    if not len(usable) or curve.steps[usable[-1]] <= latest.steps[-1]:
        return None
    then, now = float(latest.rates[-1]), float(curve.values[usable[-1]])
    if abs(math.log(now / then)) <= math.log(OTHER_RATE):
        return None
    edge = float(latest.thresholds[-1]) * then / now
    return int(latest.steps[-1]), (
        f"the learning rate was {amount(then)} at {latest.at(-1)}, the last that was measured, and "
        f"is {amount(now)} at {curve.steps[usable[-1]]}: the threshold has moved from "
        f"{amount(float(latest.thresholds[-1]))} to {amount(edge)}"
    )
