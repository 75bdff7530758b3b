"""Schedules: the steps they name, and what is no schedule."""

from __future__ import annotations

import itertools

import pytest

from dyntools.callbacks.schedule import Schedule, any_of, at, every, log_spaced
from dyntools.errors import UsageError


def steps(schedule: Schedule, end: int) -> list[int]:
    return [step for step in range(end) if schedule(step)]


def test_every_starts_at_nothing_done() -> None:
    assert steps(every(3), 10) == [0, 3, 6, 9]
    assert steps(every(1), 4) == [0, 1, 2, 3]


def test_at_and_any_of() -> None:
    assert steps(at(7, 2), 10) == [2, 7]
    assert steps(any_of(every(4), at(5, 8)), 10) == [0, 4, 5, 8]
    assert steps(any_of(), 10) == []


def test_five_a_decade_are_the_ones_that_are_documented() -> None:
    assert steps(log_spaced(5), 101) == [0, 1, 2, 3, 4, 6, 10, 16, 25, 40, 63, 100]
    assert steps(log_spaced(1), 10_001) == [0, 1, 10, 100, 1000, 10_000]


@pytest.mark.parametrize("per_decade", [1, 2, 5, 10, 37])
def test_each_later_decade_has_as_many_with_equal_ratios(per_decade: int) -> None:
    """From 1000 on rounding to a whole step moves a ratio by less than 1e-3."""
    found = [step for step in steps(log_spaced(per_decade), 100_000) if step >= 1000]
    assert len(found) == 2 * per_decade
    ratios = [b / a for a, b in itertools.pairwise(found)]
    assert ratios == pytest.approx([10 ** (1 / per_decade)] * len(ratios), rel=1e-3)


@pytest.mark.parametrize("make", [every, log_spaced])
@pytest.mark.parametrize("number", [0, -1])
def test_less_than_one_is_refused(make: object, number: int) -> None:
    with pytest.raises(UsageError, match="at least one") as told:
        make(number)  # type: ignore[operator]
    assert str(number) in str(told.value)
