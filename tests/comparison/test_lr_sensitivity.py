"""Sensitivity to the learning rate against its definition."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest

from dyntools.comparison.given import rate_of
from dyntools.comparison.lr_sensitivity import lr_sensitivity
from dyntools.comparison.side import Side
from dyntools.errors import ReportError, UsageError
from dyntools.log import Role
from dyntools.report import Report
from tests.comparison.reports import report, series, side

START = 2.5


def run(rate: float, final: float, start: float = START) -> Report:
    log = {Role.learning_rate: [rate, rate], Role.validation_loss: [start, final]}
    return report(log=log)


def runs(losses: Mapping[float, float]) -> list[Side]:
    return [side(f"{rate:g}", run(rate, final)) for rate, final in losses.items()]


def test_the_expected_loss_above_the_best() -> None:
    """(1 + 0.5 + 2) / 3 - 0.5."""
    (found,) = lr_sensitivity(runs({1e-2: 0.5, 1e-3: 1.0, 1e-1: 2.0}), {}).recipes
    assert [point.rate for point in found.points] == [1e-3, 1e-2, 1e-1]
    assert found.value == pytest.approx(3.5 / 3 - 0.5)
    assert found.best.rate == 1e-2
    assert not found.at_edge


@pytest.mark.parametrize("final", [7.0, math.nan, math.inf])
def test_a_run_that_diverged_counts_as_its_start(final: float) -> None:
    (found,) = lr_sensitivity(runs({1e-3: 0.5, 1e-1: final}), {}).recipes
    assert found.value == pytest.approx((0.5 + START) / 2 - 0.5)
    assert [point.diverged for point in found.points] == [0, 1]
    assert found.at_edge


def test_equal_losses_have_no_sensitivity() -> None:
    (found,) = lr_sensitivity(runs({1e-3: 0.7, 1e-2: 0.7}), {}).recipes
    assert found.value == pytest.approx(0)


def test_seeds_of_a_rate_are_averaged_each_with_its_own_start() -> None:
    sides = [side("a", run(1e-3, 1.0)), side("b", run(1e-3, 9.0, start=3.0)),
             side("c", run(1e-2, 1.0))]  # fmt: skip
    (found,) = lr_sensitivity(sides, {}).recipes
    assert found.points[0].counted == pytest.approx((1 + 3) / 2)
    assert found.points[0].diverged == 1


def test_each_group_is_a_recipe() -> None:
    one = side("one", run(1e-3, 1.0), run(1e-2, 2.0))
    two = side("two", run(1e-3, 1.0), run(3e-2, 2.0))
    found = lr_sensitivity([one, two], {})
    assert [recipe.recipe for recipe in found.recipes] == ["one", "two"]
    assert not found.one_grid


def test_the_training_loss_is_averaged_over_its_last_points() -> None:
    losses = np.r_[np.full(90, 3.0), np.arange(10.0)]
    sides = [
        side(name, report(log={Role.learning_rate: np.full(100, rate), Role.train_loss: losses}))
        for name, rate in (("a", 1e-3), ("b", 1e-2))
    ]
    (found,) = lr_sensitivity(sides, {}).recipes
    assert found.points[0].losses == (4.5,)
    assert found.points[0].starts == (3.0,)


def test_where_a_rate_is_read() -> None:
    """The peak of the log, before the companions."""
    beside = series("effective_lr", (0, 1), [1.0, 1.0], beside={"lr": [np.nan, 0.1]})
    assert rate_of(report(beside)) == 0.1
    assert rate_of(report(beside, log={Role.learning_rate: [0.0, 0.3, 0.2]})) == 0.3
    top = series("hessian_top", (0,), [1.0], beside={"learning_rate": [0.2]})
    assert rate_of(report(top)) == 0.2
    assert math.isnan(rate_of(report()))


def test_given_rates_are_obeyed_and_missing_ones_asked_for() -> None:
    log = {Role.validation_loss: [2.0, 1.0]}
    sides = [side("a", report(log=log)), side("b", report(log=log))]
    (found,) = lr_sensitivity(sides, {"a": 0.1, "b": 0.2}).recipes
    assert [point.rate for point in found.points] == [0.1, 0.2]
    with pytest.raises(UsageError, match="does not tell the learning rate") as caught:
        lr_sensitivity(sides, {"a": 0.1})
    assert "--x b=VALUE" in str(caught.value)


def test_one_rate_is_no_grid() -> None:
    with pytest.raises(ReportError, match="several learning rates"):
        lr_sensitivity(runs({1e-3: 1.0}) + runs({1e-3: 1.0}), {})


def test_without_a_loss_there_is_nothing_to_lose() -> None:
    with pytest.raises(ReportError, match="do not share") as caught:
        lr_sensitivity([side("a", report()), side("b", run(1e-3, 1.0))], {})
    assert "a-0.h5" in str(caught.value)
