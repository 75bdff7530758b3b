"""Verdict: what became of one check, and of all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The worst first."""

    fail = "fail"  # beyond the tolerance, and larger than what chance and error bars explain
    not_comparable = "not comparable"  # probe, settings, version, dtype or schedule differ
    inconclusive = "inconclusive"  # the error bars are wider than the tolerance
    passed = "pass"  # comparable and within the tolerance


EXIT_CODES = {
    Verdict.passed: 0,
    Verdict.fail: 1,
    Verdict.inconclusive: 3,
    Verdict.not_comparable: 3,
}


@dataclass(frozen=True)
class Check:
    """One limit on one quantity, judged.

    limit: as it was written. quantity: what was judged, such as `hessian_top[rank=1]@last`.
    entry: the layer or other label it concerns, "" for the whole model.
    baseline, now: the values compared, None where there is none; `*_error` in the same unit.
    change: now - baseline. tolerance: the largest change (or the bound) that the limit allows.
    uncertainty: of the change, in the same unit. p, p_adjusted: of the test of no change beyond the
    tolerance, alone and over all checks together. effect: its size (see `significance`).
    detectable: about the smallest change that these data could have shown. samples: per side.
    """

    verdict: Verdict
    sentence: str
    limit: str
    quantity: str
    metric: str
    entry: str = ""
    unit: str = ""
    baseline: float | None = None
    baseline_error: float | None = None
    now: float | None = None
    now_error: float | None = None
    change: float | None = None
    relative_change: float | None = None
    tolerance: float | None = None
    uncertainty: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    effect: float | None = None
    detectable: float | None = None
    samples: tuple[int, int] = (0, 0)  # of the baseline, of now


@dataclass(frozen=True)
class Outcome:
    """All checks of one report (or of several seeds) against one baseline, the worst first.

    report, baseline: what they were read from. level: of the tests, over all checks together.
    source: where the limits came from. notes: what the reader of the verdict should know.
    """

    checks: Sequence[Check]
    report: str
    baseline: str
    source: str
    level: float
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst of all; inconclusive where nothing was checked."""
        found = [check.verdict for check in self.checks] or [Verdict.inconclusive]
        return min(found, key=list(Verdict).index)

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verdict]
