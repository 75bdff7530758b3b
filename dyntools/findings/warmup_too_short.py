"""Warm-up too short: when the learning rate arrives at its peak, the sharpness is above the edge.

    λ_1 > threshold(η) at the first measured step after the warm-up;  gradient descent: λ_1 η > 2

Gilmer et al. 2022, A loss curvature perspective on training instability in deep learning,
arXiv:2110.04369: runs succeed when their early trajectory avoids, or quickly leaves, the region
where λ_1 > 2/η; a warm-up gives the sharpness time to come down with the rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.rows import amount, counted
from dyntools.findings.sharpness import ABOVE_EDGE, SAME_RATE, Sharpness, sharpness
from dyntools.log import Role
from dyntools.report import Report

EARLY = 0.1  # of the run: later the end of the warm-up is out of sight; chosen
PAPER = "Gilmer et al. 2022, arXiv:2110.04369"


@dataclass(frozen=True)
class WarmUp:
    """steps: until the rate first is at its peak; 0 without a warm-up. total: steps of the run."""

    steps: int
    total: int


def rule(report: Report) -> tuple[Finding, ...]:
    found = []
    for one in sharpness(report):
        warm_up = _warm_up(report, one)
        after = np.flatnonzero((one.steps >= warm_up.steps) & _at_peak(one.rates))
        if not len(after):
            continue
        first = int(after[0])
        late = one.steps[first] - warm_up.steps > EARLY * warm_up.total
        if not late and one.lowest[first] > ABOVE_EDGE:
            found.append(_finding(one, first, warm_up))
    return tuple(found)


def _warm_up(report: Report, one: Sharpness) -> WarmUp:
    """From the logged rates, else from those of the checkpoints, which only bound it."""
    curve = report.log.curve(Role.learning_rate) if report.log is not None else None
    steps, rates = one.steps, one.rates
    if curve is not None and curve.unit == one.unit:
        finite = np.isfinite(curve.values)
        if finite.any():
            steps, rates = curve.steps[finite], curve.values[finite]
    last = [row.step for row in report.checkpoints if row.step is not None]
    total = max(int(steps[-1]), int(one.steps[-1]), *last, 0)
    first = int(np.flatnonzero(_at_peak(rates))[0])
    return WarmUp(int(steps[first]) if first > 0 else 0, total)


def _at_peak(rates: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(rates >= (1 - SAME_RATE) * rates.max())


def _finding(one: Sharpness, first: int, warm_up: WarmUp) -> Finding:
    ratio, rate = float(one.ratio[first]), float(one.rates[first])
    above = int((one.lowest[first:] > ABOVE_EDGE).sum())
    behind = len(one.steps) - 1
    when = (
        f"after a warm-up of {counted(warm_up.steps, one.unit)}"
        if warm_up.steps
        else "without a warm-up"
    )
    later = f"; {amount(float(one.ratio[-1]))} at {one.at(-1)}" if behind > first else ""
    longer = f"at least {counted(2 * warm_up.steps, one.unit)}" if warm_up.steps else "a warm-up"
    return Finding(
        rule="warmup_too_short",
        severity=Severity.watch,
        sentence=(
            f"At {one.at(first)}, {when}, the sharpness is {amount(ratio)} times what the "
            f"optimizer is stable at: {one.against(first)}."
        ),
        evidence=tuple(
            line
            for line in (
                f"sharpness over threshold {amount(ratio)}{later}",
                f"above the edge at {above} of {counted(len(one.steps) - first, 'measurement')} "
                "since",
                one.doubt,
            )
            if line
        ),
        meaning=(
            "The run met its full learning rate where it could not be stable; it loses what it "
            "learned so far, or diverges, unless the sharpness falls at once."
        ),
        remedy=(
            f"Use {longer} up to {amount(rate)}, or a peak below {amount(rate / ratio)}; clipping "
            "gradients or a normalisation layer acts through the same door."
        ),
        paper=PAPER,
        caveat=(
            "Twice as long is a first guess, no rule. On digits gradient descent recovered from "
            "1.4 times the threshold and diverged from 2.7; a warm-up of 200 steps saved the "
            "latter, one of 20 did not. Sharpness on a small probe is too large."
        ),
        step=int(one.steps[first]),
    )
