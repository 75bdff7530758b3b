"""Terminal phase: all examples are classified right, and the features close in on the class means.

    accuracy on the probe 1 at two measured steps, the last among them
    NC1 + 2 standard errors ≤ 0.1, and lower than at the first of these steps

Papyan, Han & Donoho 2020, Prevalence of neural collapse during the terminal phase of deep learning
training, doi:10.1073/pnas.2015509117. By `neural_collapse`. No fault: it says that the training
loss has no more to tell.
"""

from __future__ import annotations

import math

import numpy as np

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.papyan import PERFECT, TIGHT
from dyntools.findings.rows import amount, companion
from dyntools.report import Report

ERRORS = 2.0  # standard errors; chosen, no source
FEWEST = 2  # measured steps; chosen: one may be luck
PAPER = "Papyan et al. 2020, doi:10.1073/pnas.2015509117"


def rule(report: Report) -> tuple[Finding, ...]:
    series = report.series.get("neural_collapse")
    if series is None or series.dims:
        return ()
    rows = np.flatnonzero(series.ok & np.isfinite(series.values))
    wrong = np.flatnonzero(~(companion(series, "accuracy")[rows] >= PERFECT))
    rows = rows[wrong[-1] + 1 :] if len(wrong) else rows
    if len(rows) < FEWEST:
        return ()
    begin, end = int(rows[0]), int(rows[-1])
    now, then = float(series.values[end]), float(series.values[begin])
    error = math.nan if series.error is None else float(series.error[end])
    if not now + ERRORS * error <= TIGHT or not now < then:
        return ()
    unit, since = series.step_unit, int(series.steps[begin])
    others = {
        "class means off a simplex, norms": "nc2_norms",
        "angles": "nc2_angles",
        "classifier off the class means": "nc3",
        "examples that the nearest class mean calls otherwise": "nc4",
    }
    told = {words: float(companion(series, name)[end]) for words, name in others.items()}
    return (
        Finding(
            rule="terminal_phase",
            severity=Severity.note,
            sentence=(
                f"The whole probe is classified right since {unit} {since}, and the features have "
                f"drawn together around their classes: NC1 fell from {amount(then)} to "
                f"{amount(now)} by {unit} {series.steps[end]}."
            ),
            evidence=(
                f"NC1, spread within over spread between classes: {amount(now)} ± {error:.1g}",
                *(f"{words}: {amount(one)}" for words, one in told.items() if math.isfinite(one)),
            ),
            meaning=(
                "Neural collapse, the terminal phase of training, and no fault. What is left of "
                "the training loss falls by growing logits."
            ),
            remedy=(
                "Decide by the validation loss alone whether more steps are worth it. For transfer "
                "try an earlier checkpoint too: tight classes can transfer worse (Kornblith et al. "
                "2021, arXiv:2010.16402)."
            ),
            paper=PAPER,
            caveat=(
                "The authors saw the test accuracy still improve in this phase, on balanced "
                "classes and clean labels. NC1 of the probe is that of its examples: it needs "
                "many a class, and the training data. The bound is chosen."
            ),
            step=int(series.steps[end]),
        ),
    )
