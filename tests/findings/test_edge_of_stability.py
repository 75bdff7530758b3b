"""Where the sharpness stands against the threshold: hovering, above, rising, or not to be told."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dyntools.findings import Severity
from dyntools.findings.edge_of_stability import rule
from tests.findings.reports import sharpness_report


def test_gradient_descent_that_hovers_is_a_note() -> None:
    (found,) = rule(sharpness_report([5.0, 12.0, 20.5, 21.0, 20.8]))
    assert found.severity == Severity.note
    assert "Since step 200 " in found.sentence
    assert "threshold 20 at a learning rate of 0.1" in found.sentence
    assert found.evidence[0] == (
        "sharpness over threshold: 1.02 at step 200, 1.05 at step 300, 1.04 at step 400, "
        "after 0.25 at step 0"
    )
    assert found.evidence[1] == (
        "probe 1f3a: 300 examples, eval, float32; the sampling error was not measured"
    )
    assert found.step == 400


def test_adam_is_judged_by_its_own_threshold() -> None:
    hovering = [3.7e4, 3.6e4, 3.9e4]
    report = sharpness_report(
        hovering, rate=1e-3, threshold_times_rate=38.0, metric="adam_sharpness"
    )
    (found,) = rule(report)
    assert "preconditioned Hessian = 39000, threshold 38000" in found.sentence
    assert "2207.14484" in found.paper
    # The same numbers as a Hessian under gradient descent are far above it.
    (above,) = rule(sharpness_report(hovering, rate=1e-3))
    assert above.severity == Severity.watch


def test_above_and_rising_is_to_act_on() -> None:
    (found,) = rule(sharpness_report([10.0, 30.0, 40.0, 60.0]))
    assert found.severity == Severity.act
    assert "3 times what the optimizer is stable at and still rises" in found.sentence
    assert "below 0.0333" in found.remedy


def test_above_and_falling_is_to_watch() -> None:
    (found,) = rule(sharpness_report([90.0, 60.0, 40.0]))
    assert found.severity == Severity.watch
    assert "still rises" not in found.sentence


@pytest.mark.parametrize("spread", [{"error": 3.0}, {"sampling_error": 1.5}])
def test_nothing_is_said_where_the_error_spans_a_limit(spread: dict[str, float]) -> None:
    hovering, above = [22.0, 22.0, 22.0], [20.0, 26.0]  # limits at 16 and 24
    assert rule(sharpness_report(hovering))
    assert rule(sharpness_report(above))
    assert rule(sharpness_report(hovering, **spread)) == ()
    assert rule(sharpness_report(above, **spread)) == ()


def test_a_rise_within_the_errors_is_none() -> None:
    (found,) = rule(sharpness_report([40.0, 40.5, 41.0], error=0.5))
    assert found.severity == Severity.watch


@pytest.mark.parametrize(
    "values",
    [[5.0, 6.0, 7.0], [20.0, 20.0], [20.0, 12.0, 20.0], [math.nan] * 3],
    ids=["below", "two steps", "left again", "nothing"],
)
def test_silent(values: list[float]) -> None:
    assert rule(sharpness_report(values)) == ()


def test_without_a_threshold_nothing_is_said() -> None:
    assert rule(sharpness_report([40.0, 60.0, 90.0], threshold_times_rate=math.nan)) == ()


def test_noise_around_the_edge_never_asks_for_action() -> None:
    """200 runs that hover like gradient descent on digits: 1.06 ± 0.03 of the threshold."""
    generator = np.random.default_rng(0)
    for _ in range(200):
        (found,) = rule(
            sharpness_report(20 * (1.06 + 0.03 * generator.normal(size=6)).clip(0.85, 1.15))
        )
        assert found.severity == Severity.note
