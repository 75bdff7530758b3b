"""The delay on curves made by hand, with its gaps and its bound where it has not ended."""

from __future__ import annotations

import numpy as np
import pytest

from dyntools.measurement import Status
from dyntools.metrics.logs.grokking_delay import measure
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
    shares = np.array([0.1, 0.2, 0.995, 0.9])
    percent = log_of(train_accuracy=TRAIN, validation_accuracy=(STEPS, 100 * shares))
    found = measure(snapshot_of(percent))
    assert found.values == 370
    assert found.beside["best_validation_accuracy"] == pytest.approx(0.995)
    assert "percent" in found.method


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
