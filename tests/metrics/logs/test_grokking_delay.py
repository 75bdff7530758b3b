"""The delay on curves made by hand, with its gaps and its bound where it has not ended."""

from __future__ import annotations

import numpy as np
import pytest

from dyntools.errors import UsageError
from dyntools.measurement import Status
from dyntools.metrics.logs.grokking_delay import METRIC, measure
from tests.metrics.logs.hand_made import log_of, snapshot_of

TRAIN = ([10, 20, 30, 40], [0.5, 0.98, 0.995, 0.97])
STEPS = [25, 50, 400, 500]


def test_steps_between_two_first_crossings() -> None:
    log = log_of(train_accuracy=TRAIN, validation_accuracy=(STEPS, [0.1, 0.2, 0.99, 0.9]))
    found = measure(snapshot_of(log))
    assert found.values == 400 - 30  # 0.99 counts as reached, and a later fall does not matter
    assert found.error == 350  # validation was not looked at between 50 and 400
    assert found.beside["train_step"] == 30
    assert found.beside["validation_step"] == 400
    assert found.beside["ratio"] == pytest.approx(400 / 30)
    assert np.isnan(found.beside["at_least"])
    assert found.beside["validation_accuracy"] == 0.9
    lower = measure(snapshot_of(log), train=0.9, validation=0.15)
    assert lower.values == 50 - 20
    assert lower.error == 25


def test_a_delay_that_has_not_ended_is_a_lower_bound_and_no_value() -> None:
    log = log_of(train_accuracy=TRAIN, validation_accuracy=(STEPS, [0.1, 0.2, 0.3, 0.4]))
    found = measure(snapshot_of(log))
    assert np.isnan(found.values)
    assert found.status == Status.failed
    assert found.beside["at_least"] == 500 - 30
    assert "more than 470 steps" in found.skipped[""]
    early = measure(snapshot_of(log, 50))  # what the same run said then
    assert early.beside["at_least"] == 20


def test_before_training_is_fitted_no_delay_has_begun() -> None:
    log = log_of(train_accuracy=([10], [0.4]), validation_accuracy=([10], [1.0]))
    found = measure(snapshot_of(log))
    assert found.status == Status.failed
    assert np.isnan(found.beside["at_least"])
    assert "no delay has begun" in found.skipped[""]


def test_percent_is_read_as_shares() -> None:
    train = (TRAIN[0], 100 * np.array(TRAIN[1]))
    shares = np.array([0.1, 0.2, 0.995, 0.9])
    percent = log_of(train_accuracy=train, validation_accuracy=(STEPS, 100 * shares))
    found = measure(snapshot_of(percent))
    assert found.values == 370
    assert found.beside["best_validation_accuracy"] == pytest.approx(0.995)
    assert "percentages" in found.method


def test_where_one_curve_is_percent_so_is_the_other() -> None:
    """Validation at the chance of 113 classes, 0.88 to 1.00 %, was once read as a share of 1."""
    steps = list(range(0, 1001, 100))
    log = log_of(
        train_accuracy=(steps, [min(100.0, s / 3) for s in steps]),
        validation_accuracy=(steps, [0.88 + 1e-4 * s + 0.02 * (s >= 600) for s in steps]),
    )
    found = measure(snapshot_of(log))
    assert np.isnan(found.values)
    assert found.beside["best_validation_accuracy"] == pytest.approx(0.01)
    assert found.beside["train_step"] == 300
    assert found.beside["at_least"] == 700
    assert "percentages" in found.skipped[""]


def test_before_any_value_above_1_a_curve_is_read_as_shares_and_that_is_said() -> None:
    log = log_of(train_accuracy=([10, 20], [0.9, 100.0]), validation_accuracy=([10, 20], [1, 99]))
    early = measure(snapshot_of(log, 10))
    assert "both read as shares, for none of them is above 1 by now" in early.method
    assert measure(snapshot_of(log)).values == 0


def test_rounding_above_1_is_no_percentage() -> None:
    log = log_of(train_accuracy=([10], [1 + 1e-6]), validation_accuracy=([40], [1 + 1e-7]))
    assert measure(snapshot_of(log)).values == 30


@pytest.mark.parametrize("setting", ["train", "validation"])
def test_a_level_in_percent_is_refused(setting: str) -> None:
    with pytest.raises(UsageError, match=f"{setting} of grokking_delay must be at most 1") as said:
        METRIC.settings({setting: "99"})
    assert "0.99" in str(said.value.remedy)


def test_validation_may_come_first_and_the_first_point_counts_from_zero() -> None:
    log = log_of(train_accuracy=([10, 90], [0.5, 1]), validation_accuracy=([30, 60], [1, 1]))
    found = measure(snapshot_of(log))
    assert found.values == 30 - 90
    assert found.error == 80
    only = log_of(train_accuracy=([10], [1.0]), validation_accuracy=([30], [1.0]))
    assert measure(snapshot_of(only)).error == 30


@pytest.mark.parametrize("role", ["train_accuracy", "validation_accuracy"])
def test_a_missing_curve_is_named(role: str) -> None:
    curves = {"train_accuracy": TRAIN, "validation_accuracy": TRAIN}
    del curves[role]
    found = measure(snapshot_of(log_of(**curves)))
    assert found.status == Status.skipped
    assert f"--role {role}=NAME" in found.skipped[""]
