"""Intervals of paired differences against numbers worked out elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from dyntools.verification import Arm, Interval, Verification, interval_of


def arm(losses: Sequence[float], state_bytes: int = 800) -> Arm:
    return Arm(tuple(losses), tuple(losses), state_bytes, 0.01, 0.001)


def verification(adamw: Sequence[float], plan: Sequence[float]) -> Verification:
    return Verification(
        step=100,
        steps=10,
        seeds=tuple(range(len(adamw))),
        batch_size=4,
        learning_rate=1e-3,
        examples=(40, 10),
        start=2.0,
        adamw=arm(adamw),
        plan=arm(plan, 500),
        evaluated="mean loss",
        limits=(),
    )


def test_interval_of_three_numbers_by_hand() -> None:
    """Mean 2, s = 1; at two degrees of freedom t = q √2 / √(1-q²), 4.303 for q = 0.95."""
    found = interval_of([1.0, 2.0, 3.0])
    assert found.mean == pytest.approx(2.0)
    assert found.half_width == pytest.approx(0.95 * math.sqrt(2 / (1 - 0.95**2)) / math.sqrt(3.0))


@pytest.mark.parametrize("n", [2, 3, 8, 40])
def test_interval_is_that_of_scipy(n: int) -> None:
    values = np.random.default_rng(n).standard_normal(n)
    low, high = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
    found = interval_of(values.tolist())
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_interval_holds_the_mean_as_often_as_it_says() -> None:
    """Of 4000 samples of three normal numbers, 95 % ± four standard errors."""
    samples = np.random.default_rng(0).standard_normal((4000, 3))
    hits = np.mean([interval_of(row).holds_zero for row in samples.tolist()])
    assert abs(hits - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 4000)


@pytest.mark.parametrize("values", [[1.0], [1.0, math.nan, 2.0], [1.0, math.inf]])
def test_no_interval_without_finite_numbers(values: list[float]) -> None:
    found = interval_of(values)
    assert math.isnan(found.mean)
    assert not found.holds_zero


def test_differences_are_paired_by_order() -> None:
    """The orders differ by far more than the two optimizers, and cancel."""
    found = verification([1.0, 2.0, 6.0], [1.1, 2.1, 6.1])
    assert found.differences == pytest.approx((0.1, 0.1, 0.1))
    assert found.difference.low > 0.0
    assert "higher by 0.1" in found.verdict


def test_order_spread_is_the_root_mean_square_over_all_pairs() -> None:
    losses = [1.0, 2.0, 6.0]
    pairs = [(a - b) ** 2 for i, a in enumerate(losses) for b in losses[:i]]
    found = verification(losses, losses).order_spread
    assert found == pytest.approx(math.sqrt(np.mean(pairs)))


def test_a_difference_inside_its_interval_is_not_called_one() -> None:
    found = verification([1.0, 1.0, 1.0], [1.1, 0.9, 1.05])
    assert found.difference.holds_zero
    assert found.verdict.startswith("No difference was seen; one smaller than 0.26")
    assert found.detectable == found.difference.half_width


def test_the_mini_batches_are_told_of_where_they_see_more() -> None:
    plan = Arm((1.1, 0.9, 1.05), (1.2, 1.2, 1.21), 500, 0.01, 0.001)
    found = replace(verification([1.0, 1.0, 1.0], [1.0, 1.0, 1.0]), plan=plan)
    assert found.verdict.endswith("On the mini-batches it is higher by 0.2 ± 0.014.")


def test_equal_losses_are_called_equal() -> None:
    same = verification([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert same.verdict == "The losses are the same to the last bit."


def test_divergence_is_a_result() -> None:
    found = verification([1.0, 2.0, math.nan], [math.nan, math.inf, 1.0])
    assert found.plan.diverged == (0, 1)
    assert math.isnan(found.difference.mean)
    assert found.verdict == "Training diverged with the plan in 2 of 3 orders, with AdamW in 1."


def test_saved_bytes() -> None:
    assert verification([1.0, 2.0], [1.0, 2.0]).saved_bytes == 300


def test_bounds_of_an_interval() -> None:
    found = Interval(1.0, 0.25)
    assert (found.low, found.high) == (0.75, 1.25)
