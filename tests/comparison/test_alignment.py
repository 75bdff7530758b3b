"""Which step stands beside which."""

from __future__ import annotations

import numpy as np
import pytest

from dyntools.checks.training_end import end_of
from dyntools.comparison.alignment import FURTHEST, By, align
from dyntools.errors import ReportError
from dyntools.log import Role
from dyntools.measurement import Status
from dyntools.report import Series
from tests.comparison.reports import report, series


def at(*steps: int, unit: str = "step") -> Series:
    return series("m", steps, np.arange(len(steps)), step_unit=unit)


def test_by_step_takes_the_steps_that_all_have() -> None:
    found = align([at(0, 10, 20, 30), at(0, 5, 10, 30, 40)], [30, 40])
    assert found.by is By.step
    assert found.places.tolist() == [0, 10, 30]
    assert found.rows.tolist() == [[0, 1, 3], [0, 2, 3]]
    assert found.at(2) == "step 30"
    assert not found.apart(2)
    assert "all reports have these steps" in found.sentence


def test_a_common_start_alone_is_no_overlap() -> None:
    found = align([at(0, 100, 200), at(0, 150, 300)], [200, 300])
    assert found.by is By.fraction
    assert found.places.tolist() == [0, 0.5, 1]
    assert "share only step 0" in found.sentence


def test_runs_of_the_start_alone_are_aligned_by_step() -> None:
    assert align([at(0), at(0)], [0, 0]).by is By.step


def test_other_units_go_by_fraction_and_say_so() -> None:
    found = align([at(0, 50, 100), at(0, 1, 2, unit="epoch")], [100, 2])
    assert found.by is By.fraction
    assert found.rows.tolist() == [[0, 1, 2], [0, 1, 2]]
    assert "different units, step and epoch" in found.sentence
    assert found.at(1) == "50 % of training"


def test_by_fraction_takes_the_nearest_and_never_one_too_far() -> None:
    """0, 1/2, 1 of one run; of the other 0, 0.47 and 0.9, which is further than FURTHEST."""
    found = align([at(0, 50, 100), at(0, 470, 900)], [100, 1000], By.fraction)
    assert found.places.tolist() == [0, 0.5]
    assert found.rows.tolist() == [[0, 1], [0, 1]]
    assert not found.apart(0)
    assert "47 and 50 %" in found.apart(1)
    assert FURTHEST < 0.1


def test_nothing_within_reach_is_an_error() -> None:
    with pytest.raises(ReportError, match="no common part"):
        align([at(10), at(500)], [1000, 1000], By.fraction)


def test_by_step_that_cannot_be_is_an_error_with_a_remedy() -> None:
    with pytest.raises(ReportError, match="share no step") as caught:
        align([at(1, 2), at(3, 4)], [2, 4], By.step)
    assert "--align fraction" in str(caught.value)


def test_last_takes_the_last_that_was_tried() -> None:
    skipped = series("m", (0, 5, 9), [1, 2, np.nan], status=[0, 0, Status.skipped])
    failed = series("m", (0, 7), [1, np.nan])
    found = align([skipped, failed], [9, 7], By.last)
    assert found.steps.tolist() == [[5], [7]]
    assert found.at(0) == "the last step of each"
    assert "55.6 and 100 %" in found.apart(0)


def test_the_end_of_a_training_is_the_latest_that_the_report_knows() -> None:
    one = at(0, 10)
    assert end_of(report(one), one) == 10
    assert end_of(report(one, checkpoints=(0, 10, 30)), one) == 30
    assert end_of(report(one, log={Role.train_loss: np.ones(51)}), one) == 50
    epochs = at(0, 1, unit="epoch")
    assert end_of(report(epochs, checkpoints=(0, 30), log={Role.train_loss: [1.0]}), epochs) == 1


def test_a_metric_never_measured_is_an_error() -> None:
    never = series("m", (0,), [np.nan], status=[Status.skipped])
    with pytest.raises(ReportError, match="at no step"):
        align([never, at(0)], [0, 0])
