"""The share of wall time that is kept, on a clock of its own."""

from __future__ import annotations

import pytest

from dyntools.callbacks.budget import Budget


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


COSTS = {"dear": 3.0, "cheap": 0.01}


def run(share: float, reports: int) -> tuple[Budget, dict[str, list[int]]]:
    clock = Clock()
    budget, done = Budget(share, clock), {name: [] for name in COSTS}
    for report in range(reports):
        clock.now += 1.0
        with budget.taking():
            for name in budget.affordable(list(COSTS)):
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
    assert any("dear was left out" in note for note in budget.notes())


def test_without_a_limit_nothing_is_left_out() -> None:
    budget, done = run(1.0, 20)
    assert not budget.dropped
    assert len(done["dear"]) == 20


def test_of_metrics_that_may_take_long_one_is_tried_at_a_time() -> None:
    """Else the first report runs all of them, and a short training never pays that back."""
    now = 0.0
    budget = Budget(0.1, clock=lambda: now)
    names, long = ["cheap", "slow", "slower"], {"slow", "slower"}
    assert budget.affordable(names, long) == ["cheap", "slow"]
    budget.paid("cheap", 0.1)
    budget.paid("slow", 2.0)
    budget.spent, now = 2.1, 20.0
    assert budget.affordable(names, long) == []  # 0.1 s are owed still
    now = 22.0
    assert budget.affordable(names, long) == ["cheap", "slower"]
    assert budget.dropped == {"slower": 2, "cheap": 1, "slow": 2}
    assert Budget(1.0, clock=lambda: now).affordable(names, long) == names
