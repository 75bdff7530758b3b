"""Sentences: what a check found, in words."""

from __future__ import annotations

from collections.abc import Sequence

from dyntools.checks.quantity import Quantity
from dyntools.measurement import Status

WORDS = {
    Status.skipped: "was skipped, for an input was missing",
    Status.failed: "could not be computed (NaN, or numbers that do not allow it)",
    Status.unconverged: "did not converge",
    Status.absent: "is not there",
}

SMALLEST_P = 1e-16  # chosen: half a unit in the last place of 1, below which 1 - p is 1


def amount(value: float) -> str:
    """Four significant digits."""
    return f"{value:.4g}"


def share(value: float) -> str:
    """A signed percentage of two to three digits."""
    return f"{100 * value:+.3g}%"


def moved(before: float, now: float) -> str:
    """`rose from 17.2 to 25.1 (+46%)`."""
    relative = f" ({share((now - before) / abs(before))})" if before else ""
    if now == before:
        return f"stayed at {amount(now)}"
    verb = "rose" if now > before else "fell"
    return f"{verb} from {amount(before)} to {amount(now)}{relative}"


def without_number(side: str, quantity: Quantity) -> str:
    """Why a side has no number: `It could not be computed … now, at step 300.`"""
    worst = max(quantity.samples, key=lambda s: (s.status == Status.failed, -s.status))
    at = listed_steps(worst.missed, quantity.step_unit)
    return f"{WORDS.get(worst.status, WORDS[Status.failed])} {side}{at}"


def listed_steps(steps: Sequence[int], unit: str) -> str:
    """` at step 3`, ` at 4 steps from 3 to 9`, or nothing."""
    if not steps:
        return ""
    if len(steps) == 1:
        return f" at {unit} {steps[0]}"
    return f" at {len(steps)} {unit}s from {steps[0]} to {steps[-1]}"


def chance(p: float, adjusted: float, family: int, by: str) -> str:
    """`p = 0.008, by Holm over 2 tests 0.016`; `by` is whose correction it is."""
    said = f"p {_compared(p)}"
    if family <= 1:
        return said
    return f"{said}, by {by} over {family} tests {_compared(adjusted).removeprefix('= ')}"


def _compared(p: float) -> str:
    """`= 0.008`; never `= 0`, which no p is."""
    return f"< {SMALLEST_P:g}" if p < SMALLEST_P else f"= {p:.2g}"
