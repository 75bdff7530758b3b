"""Overfitting: validation loss has risen since its best, by more than its own noise.

Fires when Prechelt's criteria say stop (GL above 5 %, PQ above 3, or three strips in a row up), and
the checks behind the best rise by a rank test, and the training loss has meanwhile fallen. Where
the test proves nothing, an unbroken rise is a reason to look, never one point alone.

Prechelt 1998, Early stopping – but when?, doi:10.1007/3-540-49430-8_3.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.prechelt import GL_LEAST, GL_MOST, PQ_MOST, UP_STRIPS
from dyntools.findings.rows import Row, amount, counted, last_row, usable_checkpoints
from dyntools.log import Role
from dyntools.report import Report

TESTABLE = 6  # checks behind the best with which z can pass RISE_Z comfortably; chosen, no source
RISE_Z = 2.326  # one-sided 1 % of the normal distribution; chosen, no source
FEWEST_RISES = 2  # checks in a row, where the test has too few; chosen, no source
FELL_ERRORS = 2.0  # standard errors of the training loss; chosen, no source


def rule(report: Report) -> tuple[Finding, ...]:
    row = last_row(report, "generalization_gap")
    if row is None or not row["checks_past_best"] >= FEWEST_RISES:
        return ()
    passed = _criteria_passed(row)
    # The last check alone may be an outlier, so the recent ones must be above the best as well. A
    # training loss that rose too would be instability; one that is not logged is no objection.
    fell = row["train_loss_at_best"] - row["train_loss"]
    noise = row.error if math.isfinite(row.error) else 0.0
    if not passed or not row["gl_recent"] >= GL_LEAST or fell <= FELL_ERRORS * noise:
        return ()
    proven = row["rise_z"] >= RISE_Z
    unbroken = row["rises_in_a_row"] >= row["checks_past_best"] and row["gl"] > GL_MOST
    if not proven and not (unbroken and fell > 0):
        return ()
    return (_finding(report, row, passed, proven),)


def _criteria_passed(row: Row) -> list[str]:
    passed = []
    if row["gl"] > GL_MOST:
        passed.append(f"GL = {amount(row['gl'])} %, above {GL_MOST:g}")
    if row["pq"] > PQ_MOST:
        passed.append(f"PQ = {amount(row['pq'])}, above {PQ_MOST:g}")
    if row["up"] >= UP_STRIPS:
        passed.append(f"UP: {row['up']:.0f} strips in a row ended higher than they began")
    return passed


def _finding(report: Report, row: Row, passed: list[str], proven: bool) -> Finding:
    best, now = row["best_step"], row["validation_step"]
    lowest, last = row["best_validation_loss"], row["validation_loss"]
    unit = row.unit
    sentence = (
        f"Validation loss was lowest ({amount(lowest)}) at {unit} {best:.0f} and is "
        f"{amount(last)} at {unit} {now:.0f}, {amount(row['gl'])} % higher: "
    )
    if proven:
        sentence += f"the last {counted(now - best, unit)} overfit."
    else:
        few = row["checks_past_best"] < TESTABLE
        doubt = "too few to be sure" if few else "as they might in a loss that wanders"
        sentence += f"{counted(row['checks_past_best'], 'check')} in a row rose, {doubt}."
    evidence = [*passed, f"rank test on the checks behind the best: z = {row['rise_z']:.1f}"]
    if math.isfinite(row["train_loss_at_best"]):
        evidence.append(
            f"training loss meanwhile fell from {amount(row['train_loss_at_best'])} "
            f"to {amount(row['train_loss'])}"
        )
    evidence += _accuracy(report, best, now)
    return Finding(
        rule="overfitting",
        severity=Severity.act if proven and row["gl_recent"] > GL_MOST else Severity.watch,
        sentence=sentence,
        evidence=tuple(evidence),
        meaning="The model gets better at its training data and worse at data it has not seen.",
        remedy=_remedy(report, row),
        paper="Prechelt 1998, doi:10.1007/3-540-49430-8_3",
        caveat=(
            "Prechelt's thresholds come from small networks trained with RPROP. Loss can rise "
            "while accuracy still improves, for it also counts confidence; choose by the metric "
            "you ship. A second descent after the rise (Nakkiran et al. 2020, arXiv:1912.02292) is "
            "not ruled out."
        ),
        step=row.step,
    )


def _accuracy(report: Report, best: float, now: float) -> list[str]:
    curve = report.log.curve(Role.validation_accuracy) if report.log is not None else None
    if curve is None:
        return []
    then, last = np.interp([best, now], curve.steps, curve.values)
    return [f"validation accuracy was {amount(then)} at the best loss and is {amount(last)}"]


def _remedy(report: Report, row: Row) -> str:
    best, unit = row["best_step"], row.unit
    again = (
        f"next time stop near {unit} {best:.0f}, or add data or regularisation "
        "(weight decay, dropout, augmentation)."
    )
    usable = usable_checkpoints(report, unit)
    if not usable:
        return f"Use the checkpoint nearest to {unit} {best:.0f}, if one was kept; {again}"
    losses = _losses_at(report, [step for step, _ in usable])
    # Without a loss at any of them (no log, or all before the first check): the nearest in steps.
    worth = losses if np.isfinite(losses).any() else np.abs([step - best for step, _ in usable])
    chosen = int(np.argmin(worth))
    step, checkpoint = usable[chosen]
    if chosen == len(usable) - 1:
        return (
            f"No checkpoint better than the last ({checkpoint.path}) was kept: save more often, or "
            f"keep the best; {again}"
        )
    loss = f", validation loss near {amount(losses[chosen])}" * bool(np.isfinite(losses[chosen]))
    return f"Use checkpoint {checkpoint.path} ({unit} {step}{loss}), not the last; {again}"


def _losses_at(report: Report, steps: list[int]) -> NDArray[np.float64]:
    """The validation loss at each step, between two checks interpolated; infinite if unknown."""
    curve = report.log.curve(Role.validation_loss) if report.log is not None else None
    if curve is None:
        return np.full(len(steps), np.inf)
    finite = np.isfinite(curve.values)
    return np.interp(steps, curve.steps[finite], curve.values[finite], left=np.inf)
