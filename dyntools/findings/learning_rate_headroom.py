"""Learning-rate head-room: the sharpness stayed far below what the optimizer is stable at.

    η_max = η · min over the run of threshold / λ_1

Gilmer et al. 2022, A loss curvature perspective on training instability in deep learning,
arXiv:2110.04369; Cohen et al. 2021, arXiv:2103.00065. Judged where the rate is near its peak: a
rate that decays leaves head-room behind at the end of every run.
"""

from __future__ import annotations

import numpy as np

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import amount, counted
from dyntools.findings.sharpening import sharpens
from dyntools.findings.sharpness import PAPERS, Sharpness, sharpness
from dyntools.report import Report

FAR = 0.5  # of the threshold; chosen: where batches of 8 settled, see `sharpness`
NEAR_PEAK = 0.9  # of the highest rate of the run; chosen
FEWEST = 3  # measured steps near the peak; chosen


def rule(report: Report) -> tuple[Finding, ...]:
    # A sharpness that rises goes on to the edge of any rate: there is no room to speak of.
    quiet = (one for one in sharpness(report) if not sharpens(one))
    return tuple(finding for one in quiet for finding in _judged(one))


def _judged(one: Sharpness) -> tuple[Finding, ...]:
    peak = float(one.rates.max())
    near = np.flatnonzero(one.rates >= NEAR_PEAK * peak)
    closest = int(near[np.argmax(one.highest[near])])
    if len(near) < FEWEST or not 0 < one.highest[closest] < FAR:
        return ()
    factor = 1 / float(one.highest[closest])
    return (
        Finding(
            rule="learning_rate_headroom",
            severity=Severity.note,
            sentence=(
                f"The learning rate of {amount(peak)} is at most {amount(100 / factor)} % of what "
                f"the edge of stability allows, at {one.at(closest)}: about "
                f"{amount(float(one.rates[closest]) * factor)} would be the edge there."
            ),
            evidence=tuple(
                line
                for line in (
                    one.against(closest),
                    f"{counted(len(near), 'measurement')} near the peak rate, {one.at(near[0])} to "
                    f"{one.steps[near[-1]]}",
                    one.doubt,
                )
                if line
            ),
            meaning="Stability does not limit this learning rate; something else may.",
            remedy=(
                f"If training is slow, try {amount(2 * peak)} with a warm-up, and judge by the "
                "validation loss."
            ),
            paper=f"Gilmer et al. 2022, arXiv:2110.04369; {PAPERS[one.metric]}",
            caveat=(
                "Stable is not better: the best rate is often set by noise, generalisation or "
                "weight decay, and between the checkpoints the sharpness may have been higher. "
                "Small batches are unstable long before the full-batch edge: with batches of 8 "
                "digits settled at half of it."
            ),
            step=int(one.steps[closest]),
        ),
    )
