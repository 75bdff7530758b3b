"""Progressive sharpening: at a constant learning rate the sharpness rises towards its threshold.

Cohen et al. 2021, arXiv:2103.00065, section 3.1; Jastrzębski et al. 2020, The break-even point,
arXiv:2002.09572. It ends at the edge of stability, where `edge_of_stability` takes over.
"""

from __future__ import annotations

import numpy as np

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import amount, counted
from dyntools.findings.sharpening import constant_since, kendall, sharpens
from dyntools.findings.sharpness import PAPERS, Sharpness, sharpness
from dyntools.report import Report


def rule(report: Report) -> tuple[Finding, ...]:
    return tuple(
        _finding(one, constant_since(one.rates)) for one in sharpness(report) if sharpens(one)
    )


def _finding(one: Sharpness, start: int) -> Finding:
    times = float(one.values[-1] / one.values[start])
    evidence = [
        f"{one.against(-1)}, {amount(float(one.ratio[-1]))} of it",
        f"{counted(len(one.steps) - start, 'measurement')} at this rate, Kendall's τ "
        f"{kendall(one.values[start:]):.2f}",
        _projected(one, start),
        one.doubt,
    ]
    return Finding(
        rule="progressive_sharpening",
        severity=Severity.note,
        sentence=(
            f"The sharpness grew {amount(times)} times from {one.at(start)} to {one.at(-1)} at a "
            f"constant learning rate and is at {amount(100 * float(one.ratio[-1]))} % of its "
            "threshold."
        ),
        evidence=tuple(line for line in evidence if line),
        meaning="Training moves to where the learning rate only just is stable; it slows there.",
        remedy=(
            "Expect no trouble from it. Do not read the present distance to the threshold as room "
            "for a higher learning rate, and measure again before a rate is raised."
        ),
        paper=PAPERS[one.metric],
        caveat=(
            "Strong for full batches and squared error; with cross-entropy the rise turns late in "
            "training, and small batches weaken it. A projected step assumes that the pace stays."
        ),
        step=int(one.steps[-1]),
    )


def _projected(one: Sharpness, start: int) -> str:
    """When the edge is reached at the pace of the second half; "" where that is not forward."""
    steps, ratio = one.steps[start:].astype(np.float64), one.ratio[start:]
    middle = (steps[0] + steps[-1]) / 2
    pace = (ratio[-1] - float(np.interp(middle, steps, ratio))) / (steps[-1] - middle)
    if not pace > 0:
        return ""
    reached = steps[-1] + (1 - ratio[-1]) / pace
    return f"at the pace of the second half it is there by {one.unit} {amount(reached)}"
