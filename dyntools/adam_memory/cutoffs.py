"""Cutoffs: the same decision at other cutoffs of the SNR, or other limits on the update.

The authors' cutoff of 1.0 is a choice, which their reviewers called arbitrary; a saving that halves
from one line to the next rests on it.
"""

from __future__ import annotations

from collections.abc import Sequence

from dyntools.adam_memory.decision import Decision, decide
from dyntools.adam_memory.evidence import Evidence
from dyntools.errors import UsageError

CUTOFFS = (0.5, 1.0, 2.0, 5.0)  # about the authors' 1.0; chosen
LIMITS = (0.01, 0.03, 0.1, 0.3)  # about the 0.1 of the rule update-error; chosen


def by_cutoff(
    evidence: Evidence,
    rule: str = "slimadam",
    cutoffs: Sequence[float] = CUTOFFS,
    max_update_error: float | None = None,
) -> tuple[Decision, ...]:
    """One decision a cutoff of the SNR. Raises UsageError for the rule that has none."""
    if rule == "update-error":
        raise UsageError("The rule update-error has no cutoff of the SNR.", remedy="by_limit")
    return tuple(decide(evidence, rule, cutoff, max_update_error) for cutoff in cutoffs)


def by_limit(evidence: Evidence, limits: Sequence[float] = LIMITS) -> tuple[Decision, ...]:
    """One decision by the rule update-error a limit on the error of the update."""
    return tuple(decide(evidence, "update-error", max_update_error=limit) for limit in limits)


def around(decision: Decision) -> tuple[Decision, ...]:
    """The decision at the cutoffs, or limits, about its own, which is among them, ascending."""
    if decision.rule == "update-error":
        own = () if decision.max_update_error is None else (decision.max_update_error,)
        return by_limit(decision.evidence, sorted({*LIMITS, *own}))
    cutoffs = sorted({*CUTOFFS, decision.cutoff})
    return by_cutoff(decision.evidence, decision.rule, cutoffs, decision.max_update_error)
