"""The share of wall time that is kept, on a clock of its own."""

from __future__ import annotations

import itertools
from contextlib import suppress

import pytest

from dyntools.callbacks.budget import Budget, OutOfTime


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


COSTS = {"cheap": 0.01, "dear": 3.0}


def run(share: float, reports: int) -> tuple[Budget, dict[str, list[int]]]:
    clock = Clock()
    budget, done = Budget(share, clock), {name: [] for name in COSTS}
    for report in range(reports):
        clock.now += 1.0
        with budget.taking():
            for name in itertools.chain.from_iterable(budget.rounds(list(COSTS))):
                clock.now += COSTS[name]
                budget.paid(name, COSTS[name])
                done[name].append(report)
    assert budget.spent == pytest.approx(sum(COSTS[n] * len(d) for n, d in done.items()))
    assert budget.taken == pytest.approx(budget.spent / budget.elapsed)
    assert {n: budget.dropped[n] for n in COSTS} == {n: reports - len(done[n]) for n in COSTS}
    return budget, done


@pytest.mark.parametrize("share", [0.02, 0.05, 0.2])
def test_the_share_is_kept_in_the_long_run(share: float) -> None:
    budget, done = run(share, 3000)
    assert 0.8 * share <= budget.taken <= share + 1e-9
    assert len(done["cheap"]) > len(done["dear"]) > 1


def test_an_unknown_cost_is_tried_once_and_paid_back() -> None:
    budget, done = run(0.05, 100)
    assert done["dear"][0] == done["cheap"][0] == 0
    assert done["cheap"][1] >= 3.01 / 0.05 - 5  # nothing until the debt is paid
    assert budget.dropped["dear"] == 100 - len(done["dear"])


def test_without_a_limit_nothing_is_left_out() -> None:
    budget, done = run(1.0, 20)
    assert not budget.dropped
    assert len(done["dear"]) == 20


def rounds(budget: Budget, costs: dict[str, float], long: set[str]) -> list[list[str]]:
    """What is measured at one report, in its rounds, on the clock of the budget."""
    found = []
    clock = budget.clock
    assert isinstance(clock, Clock)
    with budget.taking():
        for names in budget.rounds(list(costs), long):
            for name in names:
                clock.now += costs[name]
                budget.paid(name, costs[name])
            found.append(names)
    return found


def test_new_ones_are_tried_one_by_one_and_what_may_take_long_last() -> None:
    """Else the first report runs all of them, and a short training never pays that back."""
    clock = Clock()
    budget = Budget(0.1, clock)
    costs, long = {"slow": 3.0, "a": 1.0, "b": 0.5, "slower": 9.0, "c": 0.5}, {"slow", "slower"}
    assert rounds(budget, costs, long) == [["a"], ["b"]]  # and then 1.35 s are owed
    assert budget.dropped == {"c": 1, "slow": 1, "slower": 1}
    clock.now += 19.0  # 0.55 s are there
    assert rounds(budget, costs, long) == [["c"]]
    clock.now += 21.0
    assert rounds(budget, costs, long) == [["a", "b", "c"], ["slow"]]
    clock.now += 1.0
    assert rounds(budget, costs, long) == []
    clock.now += 80.0
    assert rounds(budget, costs, long) == [["slow", "a", "b", "c"], ["slower"]]
    assert rounds(Budget(1.0, clock), costs, long) == [list(costs)]


def attempts(takes: float, share: float) -> tuple[Budget, list[float]]:
    """A metric of products of one second each, due every ten seconds, until it is finished."""
    clock = Clock()
    budget, tries = Budget(share, clock), []
    for _ in range(10_000):
        clock.now += 10.0
        if next(budget.rounds(["long"], {"long"}), None) is None:
            continue
        with budget.taking():
            started = clock.now
            with suppress(OutOfTime):
                while clock.now - started < takes:
                    clock.now += 1.0
                    budget.check("long")
            tries.append(clock.now - started)
            if budget.paid("long", tries[-1]):
                return budget, tries
    raise AssertionError("it never ended")


@pytest.mark.parametrize("takes", [3.0, 40.0, 500.0])
def test_what_is_broken_off_waits_for_twice_the_time(takes: float) -> None:
    budget, tries = attempts(takes, 0.05)
    assert tries[-1] == takes
    assert all(2 * a <= b for a, b in itertools.pairwise(tries[:-1]))
    assert sum(tries[:-1]) < 2 * takes
    assert len(tries) > 1
    assert budget.costs == {"long": takes}
    assert budget.taken <= 0.05 + 2.0 / budget.elapsed  # two products too much, at most
    assert budget.dropped["long"] >= len(tries) - 1


def test_one_that_was_finished_may_take_twice_its_price() -> None:
    clock = Clock()
    budget = Budget(0.1, clock)
    budget.paid("known", 1.0)
    clock.now += 10.0
    assert list(budget.rounds(["known"])) == [["known"]]
    with budget.taking():
        clock.now += 2.0
        budget.check("known")
        clock.now += 1.0
        with pytest.raises(OutOfTime, match="known"):
            budget.check("known")
    assert not budget.paid("known", 3.0)
    assert budget.price("known") == "over 3 s"
    free = Budget(1.0, clock)
    with free.taking():
        clock.now += 1e6
        free.check("known")


def test_what_is_left_out_is_said_once_and_priced() -> None:
    clock = Clock()
    budget = Budget(0.05, clock)
    budget.paid("dear", 12.3)
    budget.spent = 1.5
    assert list(budget.rounds(["dear", "new"])) == []
    assert budget.news(7) == (
        "step 7 has no time within 5 % of wall time for dear (12 s); not measured so far, new"
    )
    assert list(budget.rounds(["dear"])) == []
    assert budget.news(8) == ""
    clock.now += 150.0
    assert budget.notes() == (
        "left out 2 times to stay within 5 % of wall time: dear",
        "left out once to stay within 5 % of wall time: new",
        "prices: dear 12 s",
        "measuring took 1 % of wall time",
    )
