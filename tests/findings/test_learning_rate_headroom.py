"""How far a learning rate was from the edge, judged where it was high."""

from __future__ import annotations

import pytest

from dyntools.findings.learning_rate_headroom import rule
from tests.findings.reports import sharpness_report


def test_far_below_the_edge() -> None:
    (found,) = rule(sharpness_report([2.0, 4.0, 3.0]))
    assert "at most 20 % of what the edge of stability allows, at step 100" in found.sentence
    assert "about 0.5 would be the edge" in found.sentence  # 2 / λ1 of gradient descent
    assert "try 0.2 with a warm-up" in found.remedy
    assert "Stable is not better" in found.caveat


def test_the_tail_of_a_schedule_is_no_headroom() -> None:
    """At the peak the run is at 0.9 of the edge; what the decay leaves is no room."""
    rates = [0.1, 0.1, 0.1, 0.01, 0.001]
    assert rule(sharpness_report([18.0, 18.0, 18.0, 18.0, 18.0], rate=rates)) == ()
    (found,) = rule(sharpness_report([4.0, 4.0, 4.0, 90.0, 900.0], rate=rates))
    assert "0.1 is at most" in found.sentence


def test_the_bound_counts_and_not_the_value() -> None:
    (found,) = rule(sharpness_report([4.0, 4.0, 4.0], sampling_error=2.0))
    assert "about 0.25 would be the edge" in found.sentence  # 2 / (4 + 2 · 2)
    assert rule(sharpness_report([4.0, 4.0, 4.0], sampling_error=4.0)) == ()


@pytest.mark.parametrize(
    "values",
    [[2.0, 2.0], [2.0, 15.0, 2.0], [1.0, 2.0, 3.0, 4.0], [-1.0, -2.0, -1.0]],
    ids=["two steps", "once near", "rising", "negative"],
)
def test_silent(values: list[float]) -> None:
    assert rule(sharpness_report(values)) == ()
