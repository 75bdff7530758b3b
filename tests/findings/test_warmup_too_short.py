"""Sharpness above the edge when the learning rate arrives at its peak."""

from __future__ import annotations

import numpy as np

from dyntools.findings.warmup_too_short import rule
from dyntools.log import Log
from tests.findings.reports import sharpness_report
from tests.metrics.logs.hand_made import log_of


def warmed(steps: int, last: int = 1000) -> Log:
    """A linear warm-up to 0.1, then constant."""
    at = np.arange(0, last + 1, 10)
    return log_of(learning_rate=(at, 0.1 * np.minimum(1, (at + 1) / max(steps, 1))))


def test_above_the_edge_at_the_end_of_the_warm_up() -> None:
    report = sharpness_report(
        [30.0, 50.0, 20.0], rate=[0.001, 0.1, 0.1], steps=[0, 100, 900], log=warmed(100)
    )
    (found,) = rule(report)
    assert "At step 100, after a warm-up of 100 steps, the sharpness is 2.5 times" in found.sentence
    assert found.evidence[0] == "sharpness over threshold 2.5; 1 at step 900"
    assert found.evidence[1] == "above the edge at 1 of 2 measurements since"
    assert "at least 200 steps up to 0.1, or a peak below 0.04" in found.remedy
    assert found.step == 100


def test_no_warm_up_at_all() -> None:
    (found,) = rule(sharpness_report([50.0, 40.0, 20.0], steps=[0, 10, 1000]))
    assert "At step 0, without a warm-up" in found.sentence
    assert "Use a warm-up up to 0.1" in found.remedy


def test_a_long_enough_warm_up() -> None:
    """λ1 was above 2/η_peak at the start, and came down before the rate went up."""
    report = sharpness_report(
        [50.0, 21.0, 20.0], rate=[0.001, 0.1, 0.1], steps=[0, 100, 900], log=warmed(100)
    )
    assert rule(report) == ()


def test_too_late_to_tell() -> None:
    report = sharpness_report([30.0, 50.0], rate=[0.001, 0.1], steps=[0, 800], log=warmed(100))
    assert rule(report) == ()


def test_nothing_is_said_where_the_error_spans_the_limit() -> None:
    assert rule(sharpness_report([30.0, 20.0, 20.0]))
    assert rule(sharpness_report([30.0, 20.0, 20.0], sampling_error=4.0)) == ()
