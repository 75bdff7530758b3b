"""Edge of stability: the sharpness hovers at the threshold of the optimizer, or is above it.

    GD 2/η · heavy ball 2(1+β)/η · Nesterov (2+2β)/((1+2β)η) · Adam (2+2β1)/((1-β1)η)

Cohen et al. 2021, arXiv:2103.00065; for Adam 2022, arXiv:2207.14484. A sharpness that stays at the
threshold is where full-batch training usually ends up. One far above it must come down, by itself
(Lewkowycz et al. 2020, The catapult mechanism, arXiv:2003.02218) or by diverging.
"""

from __future__ import annotations

import numpy as np

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import amount
from dyntools.findings.sharpness import ABOVE_EDGE, BELOW_EDGE, PAPERS, Sharpness, sharpness
from dyntools.report import Report

HOVERING = 3  # measured steps in a row within the band; chosen
RISING = 3  # measured steps in a row of which each is higher than the one before; chosen
CATAPULT = "Lewkowycz et al. 2020, arXiv:2003.02218"


def rule(report: Report) -> tuple[Finding, ...]:
    found = []
    for one in sharpness(report):
        if one.lowest[-1] > ABOVE_EDGE:
            found.append(_above(one))
        elif _hovers(one):
            found.append(_hovering(one))
    return tuple(found)


def _hovers(one: Sharpness) -> bool:
    """The whole interval of each of the last steps lies within the band."""
    last = slice(-HOVERING, None)
    if len(one.steps) < HOVERING:
        return False
    return bool((one.lowest[last] > BELOW_EDGE).all() and (one.highest[last] < ABOVE_EDGE).all())


def _above(one: Sharpness) -> Finding:
    rising = _rises(one)
    ratio = float(one.ratio[-1])
    return Finding(
        rule="edge_of_stability",
        severity=Severity.act if rising else Severity.watch,
        sentence=(
            f"At {one.at(-1)} the sharpness is {amount(ratio)} times what the optimizer is stable "
            f"at{' and still rises' if rising else ''}: {one.against(-1)}."
        ),
        evidence=_evidence(one),
        meaning=(
            "Steps along the sharpest direction overshoot and grow there until the sharpness "
            "falls; if it does not, the loss diverges."
        ),
        remedy=(
            f"Lower the learning rate to below {amount(float(one.rates[-1]) / ratio)}, lengthen "
            "the warm-up, or clip gradients; then measure the next checkpoint."
        ),
        paper=f"{PAPERS[one.metric]}; {CATAPULT}",
        caveat=(
            "The threshold is exact for a quadratic loss. Early in a run the sharpness often comes "
            "down by itself, and clipped gradients hold steps that would overshoot. A small probe "
            "shows too large a sharpness: 8 to 30 % on quarters of one data set, more on fewer "
            "examples."
        ),
        step=int(one.steps[-1]),
    )


def _rises(one: Sharpness) -> bool:
    """Each of the last steps lies above the one before by more than both errors."""
    if len(one.steps) < RISING:
        return False
    low, high = one.lowest[-RISING:], one.highest[-RISING:]
    return bool((low[1:] > high[:-1]).all())


def _hovering(one: Sharpness) -> Finding:
    within = (one.ratio > BELOW_EDGE) & (one.ratio < ABOVE_EDGE)
    outside = np.flatnonzero(~within)
    since = 0 if not len(outside) else int(outside[-1]) + 1
    return Finding(
        rule="edge_of_stability",
        severity=Severity.note,
        sentence=(
            f"Since {one.at(since)} the sharpness stays at the edge of stability: {one.against(-1)}"
            f", ratio {float(one.ratio[-1]):.2f}, at {one.at(-1)}."
        ),
        evidence=_evidence(one),
        meaning=(
            "The learning rate decides how sharp this run may become; a higher one would first "
            "drive the sharpness down."
        ),
        remedy=(
            "Nothing, if the loss falls. Where it oscillates, lower the learning rate: the "
            "sharpness will follow to the new edge. Do not raise it without a warm-up."
        ),
        paper=PAPERS[one.metric],
        caveat=(
            "Shown for full-batch training; with small batches the sharpness settles below the "
            "edge (we saw 0.5 to 0.9 of it at batches of 8). The band of "
            f"{BELOW_EDGE:g} to {ABOVE_EDGE:g} was measured on one small network. With "
            "cross-entropy the sharpness falls again late in a run."
        ),
        step=int(one.steps[-1]),
    )


def _evidence(one: Sharpness) -> tuple[str, ...]:
    shown = range(max(0, len(one.steps) - HOVERING), len(one.steps))
    course = ", ".join(f"{amount(float(one.ratio[i]))} at {one.at(i)}" for i in shown)
    first = f", after {amount(float(one.ratio[0]))} at {one.at(0)}" if shown.start > 0 else ""
    lines = [f"sharpness over threshold: {course}{first}", one.doubt]
    return tuple(line for line in lines if line)
