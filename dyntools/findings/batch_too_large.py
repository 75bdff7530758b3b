"""Batch too large: the training batch is far above the gradient noise scale.

    B ≥ 10 · B_s, at most:   an example makes 1/11 of the progress that it could

McCandlish et al. 2018, arXiv:1812.06162.
"""

from __future__ import annotations

import math

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.noise import PAPER, noise_scale
from dyntools.findings.rows import amount
from dyntools.report import Report

FAR = 10.0  # times; chosen: an example then makes 1/11 of the progress that it could


def rule(report: Report) -> tuple[Finding, ...]:
    one = noise_scale(report)
    if one is None or not math.isfinite(one.highest) or not one.batch >= FAR * one.highest:
        return ()
    times = one.batch / one.highest
    return (
        Finding(
            rule="batch_too_large",
            severity=Severity.note,
            sentence=(
                f"At {one.unit} {one.step} a batch of {one.batch:.0f} is at least {amount(times)} "
                f"times the gradient noise scale, which is at most {amount(one.highest)} examples."
            ),
            evidence=one.evidence,
            meaning=(
                "The batch gradient is almost the exact one: fewer examples would make nearly the "
                f"same step. An example makes at most {amount(100 / (1 + times))} % of the "
                "progress that it could."
            ),
            remedy=(
                f"If examples and not steps are what costs, lower the batch towards "
                f"{amount(one.highest)} and raise it again later in the run."
            ),
            paper=PAPER,
            caveat=(
                "The scale grows as the loss falls, often tenfold and more: a batch that is "
                "wasteful early may be right later. Where machines are idle otherwise, examples "
                "cost nothing."
            ),
            step=one.step,
        ),
    )
