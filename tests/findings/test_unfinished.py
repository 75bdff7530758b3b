"""Unfinished: where a schedule stopped, judged from the learning rate alone."""

from __future__ import annotations

import numpy as np
import pytest

from dyntools.findings import Finding, Severity
from dyntools.findings.unfinished import rule
from tests.findings.reports import report_of_log
from tests.metrics.logs.hand_made import log_of

SHARE = np.linspace(0, 1, 101)
SCHEDULES = {
    "linear to 0": 1 - SHARE,
    "cosine to 0": (1 + np.cos(np.pi * SHARE)) / 2,
    "cosine to a tenth": 0.1 + 0.9 * (1 + np.cos(np.pi * SHARE)) / 2,
    "constant, then down": np.minimum(1, (1 - SHARE) * 5),
}


def warmed_up(name: str) -> np.ndarray:
    return 3e-4 * np.minimum(SHARE / 0.05, SCHEDULES[name])


def found_in(rates: np.ndarray, loss: np.ndarray | None = None) -> tuple[Finding, ...]:
    steps = np.arange(len(rates)) * 10
    loss = np.ones(len(rates)) if loss is None else loss
    log = log_of(learning_rate=(steps, rates), validation_loss=(steps, loss))
    return rule(report_of_log(log))


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_finished_schedule_is_silent(name: str) -> None:
    assert found_in(warmed_up(name)) == ()


@pytest.mark.parametrize("name", ["linear to 0", "cosine to 0", "cosine to a tenth"])
@pytest.mark.parametrize("until", [30, 50, 70])
def test_a_cut_schedule_is_a_watch(name: str, until: int) -> None:
    rates = warmed_up(name)[:until]
    (found,) = found_in(rates)
    assert found.severity is Severity.watch
    percent = 100 * rates[-1] / rates.max()
    assert (
        f"still falling, {rates[-1]:.3g} at step {(until - 1) * 10}, {percent:.0f} %"
        in found.sentence
    )
    assert "same fraction of the learning-rate schedule" in found.remedy


def test_a_run_that_stopped_in_its_warm_up() -> None:
    (found,) = found_in(np.linspace(0, 1e-3, 50)[:30])
    assert "the rate was still rising" in found.sentence


def test_a_constant_rate_says_nothing_of_a_schedule() -> None:
    assert found_in(np.full(100, 1e-3)) == ()
    assert found_in(np.full(100, 1e-3) * np.where(np.arange(100) < 50, 1, 0.5)) == ()  # one drop


def test_a_loss_that_still_falls_under_a_constant_rate_is_a_note() -> None:
    loss = 3 - 0.02 * np.arange(100)
    (found,) = found_in(np.full(100, 1e-3), loss)
    assert found.severity is Severity.note
    assert "validation loss fell by" in found.sentence
    assert found_in(warmed_up("linear to 0")[:100], loss) == ()  # the schedule is over, all is well


def test_a_loss_that_still_falls_without_any_rate_in_the_log() -> None:
    steps = np.arange(100)
    (found,) = rule(report_of_log(log_of(train_loss=(steps, 3 - 0.02 * steps))))
    assert "training loss fell by" in found.sentence


def test_a_fall_back_to_what_was_reached_before_is_no_progress() -> None:
    loss = np.concatenate([np.linspace(3, 1, 50), np.linspace(2, 1.5, 50)])
    assert found_in(np.full(100, 1e-3), loss) == ()


def test_too_few_or_odd_rates_are_silent() -> None:
    assert found_in(np.array([1.0, 0.9, 0.8, 0.7])) == ()
    assert found_in(np.zeros(20)) == ()
    assert found_in(np.full(20, np.nan)) == ()
