"""Schedules: at which steps of training something is measured; functions step → bool.

    every(100)   log_spaced(5)   at(0, 1000)   any_of(every(1000), at(10, 30))

A schedule depends on the step alone, so that every process of a distributed training, and a run
that is resumed, agrees on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from dyntools.errors import UsageError

Schedule = Callable[[int], bool]


def every(n: int) -> Schedule:
    """Steps 0, n, 2n, … Raises UsageError for n below 1."""
    if n < 1:
        raise UsageError("A schedule needs at least one step between two.", found=f"every({n})")
    return lambda step: step % n == 0


def log_spaced(per_decade: int = 5) -> Schedule:
    """Step 0, and `per_decade` steps from each power of ten to the next, evenly in the logarithm.

    5, chosen: 1, 2, 3, 4, 6, 10, 16, 25, 40, 63, 100, …  Raises UsageError below 1.
    """
    if per_decade < 1:
        raise UsageError(
            "A schedule needs at least one step a decade.", found=f"log_spaced({per_decade})"
        )

    def due(step: int) -> bool:
        if step < 1:
            return step == 0
        nearest = round(per_decade * math.log10(step))
        return any(
            round(10 ** (k / per_decade)) == step for k in (nearest - 1, nearest, nearest + 1)
        )

    return due


def at(*steps: int) -> Schedule:
    """These steps."""
    chosen = frozenset(steps)
    return lambda step: step in chosen


def any_of(*schedules: Schedule) -> Schedule:
    """Steps that are due by any of them."""
    return lambda step: any(due(step) for due in schedules)
