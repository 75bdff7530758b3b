"""Logit drift: the output logits move away together, in the direction that the loss cannot see.

    shift of all logits ≥ 128 nats: watch     ≥ 32: note     where it grew along the run
    shift ≥ ln C - log Z,   or   ≥ log Z - ln C - |z - mean z|   where that is above zero

log Z alone does not tell a drift from confidence, which spreads the logits; the shift |mean z| is
at least what the spread cannot explain, as ln C ≤ log Z - mean z ≤ ln C + |z - mean z|. Late drift
without weight decay: Wortsman et al. 2023, Small-scale proxies for large-scale Transformer training
instabilities, arXiv:2309.14322. The z-loss: Chowdhery et al. 2022, PaLM, arXiv:2204.02311.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import amount
from dyntools.findings.weight_decay import weight_decay
from dyntools.report import Report, Series

# A bfloat16 has 8 significant bits: from 128 on its steps are of 1 nat, from 32 on of 1/4.
COARSE, COARSER = 32.0, 128.0
GROWN = 2.0  # times the first measured value; chosen, no source
Z_LOSS = 1e-4  # Chowdhery et al. 2022; Wortsman et al. 2023


def rule(report: Report) -> tuple[Finding, ...]:
    series = report.series.get("output_logits")
    if series is None or series.dims:
        return ()
    shifts = _shifts(series)
    rows = np.flatnonzero(series.ok & np.isfinite(series.values))
    if not len(rows):
        return ()
    begin, end = int(rows[0]), int(rows[-1])
    shift, step = float(shifts[end]), int(series.steps[end])
    grew = begin == end or shift > GROWN * shifts[begin]
    if not (shift >= COARSE and grew):
        return ()
    log_z, unit = float(series.values[end]), series.step_unit
    since = f", from {amount(float(series.values[begin]))} at {unit} {series.steps[begin]}"
    return (
        Finding(
            rule="logit_drift",
            severity=Severity.watch if shift >= COARSER else Severity.note,
            sentence=(
                f"The output logits have drifted away together: mean log Z is {amount(log_z)} "
                f"nats at {unit} {step}{since if begin != end else ''}, a shift of at least "
                f"{amount(shift)}."
            ),
            evidence=(
                f"log Z {amount(log_z)}, largest |logit| {_at(series, 'largest', end)}, spread "
                f"around their mean {_at(series, 'norm', end)}",
                f"a z-loss of {Z_LOSS:g} would add {amount(Z_LOSS * log_z**2)} nats to the loss",
            ),
            meaning=(
                "The loss does not see a shift of all logits, so nothing holds it; in bfloat16 "
                f"steps are 1/4 nat beyond {COARSE:g} and 1 nat beyond {COARSER:g}."
            ),
            remedy=_remedy(weight_decay(report)),
            paper="Wortsman et al. 2023, arXiv:2309.14322; Chowdhery et al. 2022, arXiv:2204.02311",
            caveat=(
                "The authors see runs without weight decay drift off late and diverge, but give no "
                "bound: these follow from the rounding of bfloat16 logits; in float32 they are "
                "far from harm."
            ),
            step=step,
        ),
    )


def _shifts(series: Series) -> NDArray[np.float64]:
    """The least |mean z| that log Z and the spread allow at each step, (S,); in nats."""
    nothing = np.full(len(series.steps), np.nan)
    classes = series.beside.get("classes", nothing)
    spread = series.beside.get("norm", nothing)
    # Without the number of classes only what holds for any is claimed: log Z below zero.
    excess = series.values - np.log(np.where(classes >= 1, classes, 1.0))
    above = np.where((classes >= 1) & np.isfinite(spread), excess - spread, 0.0)
    return np.where(excess < 0, -excess, np.maximum(above, 0.0))


def _at(series: Series, name: str, row: int) -> str:
    array = series.beside.get(name)
    value = math.nan if array is None else float(array[row])
    return amount(value) if math.isfinite(value) else "not known"


def _remedy(decay: float) -> str:
    known = "There is no weight decay: add some" if decay == 0 else "Add weight decay"
    start = "Add" if decay > 0 else f"{known}, or"
    return f"{start} a z-loss of {Z_LOSS:g} (log Z)²; keep the logits and their softmax in float32."
