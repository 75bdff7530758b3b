"""Finding: one sentence that a person can act on, with the numbers and the rule behind it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What a finding asks for, the most urgent first."""

    act = "act"  # something is lost or will be: do the remedy
    watch = "watch"  # a sign that may matter: look before the next decision
    note = "note"  # worth knowing, nothing is wrong


@dataclass(frozen=True)
class Finding:
    """What one rule has seen in one report.

    sentence: what was seen, where, with its numbers.
    evidence: the numbers that decided, one phrase each.
    meaning, remedy: what it means, what to do.
    paper, caveat: whose rule it is, when it is known to fail.
    layers: the entries concerned, the worst first. step: where it was seen.
    """

    rule: str
    severity: Severity
    sentence: str
    evidence: tuple[str, ...]
    meaning: str
    remedy: str
    paper: str
    caveat: str
    layers: tuple[str, ...] = ()
    step: int | None = None
