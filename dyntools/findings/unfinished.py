"""Unfinished: the run ended before its learning-rate schedule did, or while the loss still fell.

Losses in the middle of a schedule are higher than what the same run ends with, and by an amount
that differs between optimizers and learning rates, so that a comparison there can turn around.

Wen et al. 2025, Fantastic Pretraining Optimizers and Where to Find Them, arXiv:2509.02046.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import amount, last_row
from dyntools.log import Curve, Role
from dyntools.report import Report

FLOOR = 0.2  # of the peak: schedules that end, end at 0 to 10 %; chosen, no source
TAIL = 0.1  # the last share of the run, over which the rate must still move; chosen, no source
FEWEST = 5  # learning rates; chosen, no source
RECENT = 3  # checks since the last improvement; chosen, no source
FALL = 0.01  # of the loss over the last checks, to be worth saying; chosen, no source


def rule(report: Report) -> tuple[Finding, ...]:
    curve = report.log.curve(Role.learning_rate) if report.log is not None else None
    schedule = None if curve is None else _schedule(curve)
    falling = _falling(report)
    if schedule is not None:
        evidence = (schedule, falling) if falling else (schedule,)
        sentence = f"The run stopped before the end of its learning-rate schedule: {schedule}."
        severity = Severity.watch
    elif falling and (curve is None or _peak_share(curve) > FLOOR):
        evidence, severity = (falling,), Severity.note
        sentence = f"The run stopped while its loss was still falling: {falling}."
    else:
        return ()
    return (
        Finding(
            rule="unfinished",
            severity=severity,
            sentence=sentence,
            evidence=evidence,
            meaning="Its last loss is not what this recipe reaches.",
            remedy=(
                "Let it finish, or compare it with other runs only at the same fraction of the "
                "learning-rate schedule."
            ),
            paper="Wen et al. 2025, arXiv:2509.02046",
            caveat=(
                "The planned length is not in the log; it is guessed from the rate. Schedules "
                "without an end (inverse square root) always look unfinished, and a constant phase "
                "may be followed by a planned decay."
            ),
            step=report.log.last_step if report.log is not None else None,
        ),
    )


def _finite(curve: Curve) -> NDArray[np.float64]:
    return curve.values[np.isfinite(curve.values)]


def _peak_share(curve: Curve) -> float:
    rates = _finite(curve)
    return float(rates[-1] / rates.max()) if len(rates) and rates.max() > 0 else math.nan


def _schedule(curve: Curve) -> str | None:
    """In which phase the rate stopped, None if it was constant or at its floor."""
    rates = _finite(curve)
    share = _peak_share(curve)
    if len(rates) < FEWEST or not share > FLOOR:
        return None
    before = rates[-1 - max(1, math.ceil(TAIL * (len(rates) - 1)))]
    where = f"{amount(float(rates[-1]))} at {curve.unit} {curve.steps[-1]}"
    if rates[-1] > before and rates[-1] == rates.max():
        return f"the rate was still rising, {where}"
    if rates[-1] < before:
        return f"the rate was still falling, {where}, {100 * share:.0f} % of its peak"
    return None


def _falling(report: Report) -> str:
    """How the loss moved over the last checks if its interval says that it fell, else ""."""
    row = last_row(report, "plateau")
    if row is None or not row.value <= RECENT:
        return ""
    if not row["relative_change_high"] < 0 or not row["relative_change"] < -FALL:
        return ""
    kind = "validation" if row["of_validation"] == 1 else "training"
    return (
        f"{kind} loss fell by {-100 * row['relative_change']:.1f} % over the last checks, "
        f"to {amount(row['loss'])}"
    )
