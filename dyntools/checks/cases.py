"""Cases: a pair of sides as the numbers that a test needs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dyntools.checks.limit import Limit, Relation
from dyntools.checks.pairing import Pair
from dyntools.checks.quantity import Quantity

SIDES = {
    Relation.within: 0,
    Relation.not_above: 1,
    Relation.below: 1,
    Relation.not_below: -1,
    Relation.above: -1,
}


@dataclass(frozen=True)
class Case:
    """A pair with numbers: the change, what it may be, and its bound.

    before, now: usable samples; `before` is empty for a limit on the number itself, and then
    `change` is counted from that limit. `before` is spread out for a relative tolerance,
    by 1 + `share`.
    """

    pair: Pair
    before: tuple[float, ...]
    now: tuple[float, ...]
    change: float
    tolerance: float
    bound: float
    standard_error: float
    side: int
    share: float = 0.0

    @property
    def size(self) -> float:
        """The change in the direction that the limit is about."""
        return abs(self.change) if self.side == 0 else self.side * self.change

    @property
    def whole(self) -> bool:
        """Whether every report of both sides has a number."""
        sides = (self.pair.before, self.pair.now)
        return all(len(side.usable) == len(side.samples) for side in sides if side is not None)

    @property
    def counts(self) -> tuple[int, int]:
        return len(self.before), len(self.now)


def case_of(pair: Pair) -> Case:
    now, before, limit = pair.now, pair.before, pair.limit
    assert now is not None
    values = tuple(sample.value for sample in now.usable)
    side = SIDES[limit.relation]
    if before is None:
        assert limit.bound is not None
        change = now.value - limit.bound
        return Case(pair, (), values, change, 0.0, _bound(now), now.standard_error, side)
    tolerance, share_of_baseline = _tolerance(limit, before.value)
    # A tolerance that is a share of the baseline is as uncertain as that: the change beyond it is
    # now - (1 + share) · baseline, so the baseline's errors and its scatter count 1 + share times.
    weight = 1 + share_of_baseline
    return Case(
        pair,
        tuple(before.value + weight * (sample.value - before.value) for sample in before.usable),
        values,
        now.value - before.value,
        tolerance,
        _bound(now) + weight * _bound(before),
        math.hypot(now.standard_error, weight * before.standard_error),
        side,
        share_of_baseline,
    )


def _bound(side: Quantity) -> float:
    """0 where it is not known: then several reports decide by their scatter (see `settled`)."""
    return 0.0 if math.isnan(side.bound) else side.bound


def _tolerance(limit: Limit, baseline: float) -> tuple[float, float]:
    """In the unit of the number, and the share of the baseline that it is (0 for an amount)."""
    relative = (limit.relative or 0.0) * abs(baseline)
    absolute = limit.absolute or 0.0
    return (relative, limit.relative or 0.0) if relative > absolute else (absolute, 0.0)
