"""Strikes: metrics that fail again and again are left out, so that they cost no more time."""

from __future__ import annotations

from collections import Counter

from dyntools.journal import Row
from dyntools.measurement import Status
from dyntools.measuring import NO_MEMORY, RAISED

STRIKES = 3  # failures in a row after which a metric is left out; chosen


class Strikes:
    """disabled: the metrics that are left out, each with what was wrong last."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self.disabled: dict[str, str] = {}

    def judge(self, row: Row) -> str:
        """The sentence that a metric is left out by; "" where it is not, or was before.

        Only failures of the metric itself count; what the data do not allow is none.
        """
        found = row.measurement
        reasons = [r for r in found.skipped.values() if r.startswith((RAISED, NO_MEMORY))]
        if not reasons or (found.status == Status.ok).any():
            self._counts[row.metric] = 0
            return ""
        self._counts[row.metric] += 1
        if self._counts[row.metric] < STRIKES or row.metric in self.disabled:
            return ""
        self.disabled[row.metric] = reasons[0]
        return f"{row.metric} is left out from step {row.step} on: {reasons[0]}"
