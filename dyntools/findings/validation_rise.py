"""Validation rise: the loss of held-out examples rose while that of the probe fell.

    L_val(last) - L_val(best) > 2 √(e_last² + e_best²)       and L_train(last) < L_train(best)

By `validation_gap`, both losses with one standard error over examples. Above Prechelt's largest
GL, 5 %, it asks for action. Silent where a log has validation losses: `overfitting` sees them all.

Prechelt 1998, Early stopping – but when?, doi:10.1007/3-540-49430-8_3.
"""

from __future__ import annotations

import math

import numpy as np

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.prechelt import GL_MOST
from dyntools.findings.rows import amount, companion, last_row
from dyntools.report import Report

ERRORS = 2.0  # standard errors of the rise; chosen, no source


def rule(report: Report) -> tuple[Finding, ...]:
    series = report.series.get("validation_gap")
    if series is None or last_row(report, "generalization_gap") is not None:
        return ()
    rows = np.flatnonzero(series.ok)
    validation, error, training = (
        companion(series, name)[rows]
        for name in ("validation_loss", "validation_error", "training_loss")
    )
    if not len(rows) or not np.isfinite([validation, error, training]).all():
        return ()
    best = int(np.argmin(validation))
    rise, noise = validation[-1] - validation[best], math.hypot(error[-1], error[best])
    if not rise > ERRORS * noise or not training[-1] < training[best]:
        return ()
    unit, steps = series.step_unit, series.steps[rows]
    lowest = float(validation[best])
    lost = 100 * rise / abs(lowest) if lowest else math.inf
    share = f", {amount(lost)} % higher" * math.isfinite(lost)
    return (
        Finding(
            rule="validation_rise",
            severity=Severity.act if lost > GL_MOST else Severity.watch,
            sentence=(
                f"The loss of the validation examples was lowest ({amount(validation[best])}) at "
                f"{unit} {steps[best]} and is {amount(validation[-1])} at {unit} {steps[-1]}"
                f"{share}, while that of the probe fell: the run overfits."
            ),
            evidence=(
                f"rise {amount(rise)}, with one standard error of at most {amount(noise)}",
                f"loss of the probe meanwhile from {amount(training[best])} "
                f"to {amount(training[-1])}",
                f"gap now {amount(float(series.values[rows[-1]]))}",
            ),
            meaning="The model gets better at its training data and worse at data it has not seen.",
            remedy=(
                f"Use the checkpoint at {unit} {steps[best]}, not the last; next time stop near it,"
                " or add data or regularisation (weight decay, dropout, augmentation)."
            ),
            paper="Prechelt 1998, doi:10.1007/3-540-49430-8_3",
            caveat=(
                "Seen at the saved checkpoints alone, the best may lie between them. Both steps "
                "share their examples, so the true error of the rise is smaller than told. Loss "
                "can rise while accuracy still improves, for it also counts confidence."
            ),
            step=int(steps[-1]),
        ),
    )
