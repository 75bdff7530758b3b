"""Negative curvature: the most negative eigenvalue of the Hessian rivals the largest.

Far from a minimum the Hessian has strong negative directions; in training they shrink to a small
share of λ_1 within the first epochs (Ghorbani et al. 2019, An investigation into neural net
optimization via Hessian eigenvalue density, arXiv:1901.10159; Alain et al. 2019, Negative
eigenvalues of the Hessian in deep neural networks, arXiv:1902.02366).
"""

from __future__ import annotations

import numpy as np

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import amount
from dyntools.findings.sharpness import along_rank, bounds
from dyntools.report import Report

# |λ_min| / λ_1; chosen. On digits it was at most 0.31 along runs that trained (0.2 at the start,
# the most with batches of 8), and went to 0.99 in those that diverged.
LARGE = 0.4


def rule(report: Report) -> tuple[Finding, ...]:
    series = report.series.get("hessian_top")
    top, bottom = along_rank(series, 1), along_rank(series, -1)
    if series is None or top is None or bottom is None:
        return ()
    largest, _, above, _ = bounds(series, top)
    smallest, _, below, sampled = bounds(series, bottom)
    known = np.flatnonzero(np.isfinite(largest) & np.isfinite(smallest))
    if not len(known) or not -below[known[-1]] > LARGE * above[known[-1]] > 0:
        return ()
    last = int(known[-1])
    shares = -smallest[known] / largest[known]
    unit, step = series.step_unit, int(series.steps[last])
    probe = str(series.settings.get("probe", ""))
    evidence = [
        f"λ_min = {amount(float(smallest[last]))}, λ1 = {amount(float(largest[last]))}",
        f"share at {unit} {series.steps[known[0]]}: {amount(float(shares[0]))}"
        if len(known) > 1
        else "",
        f"probe {probe}{'' if sampled else '; the sampling error was not measured'}"
        if probe
        else "",
    ]
    return (
        Finding(
            rule="negative_curvature",
            severity=Severity.note,
            sentence=(
                f"At {unit} {step} the most negative eigenvalue of the Hessian is "
                f"{amount(100 * float(shares[-1]))} % of the largest in size."
            ),
            evidence=tuple(line for line in evidence if line),
            meaning=(
                "These weights are near no minimum: they lie at a saddle, or on steep ground that "
                "bends away."
            ),
            remedy=(
                "Do not use a method that takes the Hessian for positive here (Newton steps, "
                "Laplace, influence functions, pruning by its inverse): take the Gauss–Newton "
                "matrix, or a later checkpoint. If it is the end of a run, train longer."
            ),
            paper="Ghorbani et al. 2019, arXiv:1901.10159; Alain et al. 2019, arXiv:1902.02366",
            caveat=(
                "Usual at initialisation and in the first steps. The share itself is no measure "
                "of quality; the threshold is chosen from one small network. ReLU networks hide "
                "curvature in their kinks."
            ),
            step=step,
        ),
    )
