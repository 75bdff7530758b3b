"""Divergence: the training loss is not finite, above where it began, or has lost most of its gain.

Wortsman et al. 2023, Small-scale proxies for large-scale Transformer training instabilities,
arXiv:2309.14322, count a loss above the one at initialisation as diverged.
"""

from __future__ import annotations

import math

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import Row, amount, last_row, usable_checkpoints
from dyntools.report import Report

ABOVE_ERRORS = 4.0  # standard errors above the initial loss; chosen, no source
LOST_SHARE = 0.5  # of the way from the initial loss to the best; chosen, no source
LOST_ERRORS = 5.0  # standard errors above the best, which was picked as lowest; chosen, no source


def rule(report: Report) -> tuple[Finding, ...]:
    row = last_row(report, "divergence")
    if row is None:
        return ()
    if row["non_finite"] > 0:
        return (_not_finite(report, row),)
    initial, current, best = row["initial_loss"], row["current_loss"], row["best_loss"]
    error = row.error * initial
    if current - initial > ABOVE_ERRORS * error:
        sentence = (
            f"Training loss is {amount(current)} at {row.unit} {row.step}, above the "
            f"{amount(initial)} it began with."
        )
    elif row["progress_lost"] > LOST_SHARE and current - best > LOST_ERRORS * error:
        sentence = (
            f"Training loss had come down from {amount(initial)} to {amount(best)} at "
            f"{row.unit} {row['best_step']:.0f} and is back at {amount(current)}: "
            f"{100 * row['progress_lost']:.0f} % of the progress is lost."
        )
    else:
        return ()
    evidence = (f"current over initial loss: {amount(row.value)} ± {amount(row.error)}",)
    return (_finding(report, row, Severity.act, sentence, evidence, row["best_step"]),)


def _not_finite(report: Report, row: Row) -> Finding:
    first, unit = row["first_bad_step"], row.unit
    evidence = (f"training losses that are not finite: {row['non_finite']:.0f}",)
    if math.isnan(row.value):
        sentence = f"Training loss is not finite; it first was not at {unit} {first:.0f}."
        return _finding(report, row, Severity.act, sentence, evidence, first - 1)
    sentence = (
        f"Training loss was not finite {row['non_finite']:.0f} times, first at {unit} "
        f"{first:.0f}, and has come back."
    )
    return _finding(report, row, Severity.watch, sentence, evidence, first - 1)


def _finding(
    report: Report,
    row: Row,
    severity: Severity,
    sentence: str,
    evidence: tuple[str, ...],
    good_until: float,
) -> Finding:
    before = [pair for pair in usable_checkpoints(report, row.unit) if pair[0] <= good_until]
    restart = "Restart from the beginning"
    if before:
        restart = f"Restart from checkpoint {before[-1][1].path} ({row.unit} {before[-1][0]})"
    elif not report.checkpoints and good_until > 0:  # as in live training, where none are known
        restart += f", or from a checkpoint of {row.unit} {good_until:.0f} or before,"
    return Finding(
        rule="divergence",
        severity=severity,
        sentence=sentence,
        evidence=evidence,
        meaning="The steps have become too large for the loss there, or the numbers too large for "
        "their format.",
        remedy=f"{restart} with a lower learning rate, a longer warm-up or gradient clipping.",
        paper="Wortsman et al. 2023, arXiv:2309.14322",
        caveat=(
            "A curriculum or a change of data can raise the loss without any instability; single "
            "losses that are not finite are normal under dynamic loss scaling."
        ),
        step=row.step,
    )
