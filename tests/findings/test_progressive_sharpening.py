"""Sharpness that rises towards its threshold at one learning rate."""

from __future__ import annotations

import numpy as np
import pytest

from dyntools.findings.progressive_sharpening import rule
from tests.findings.reports import sharpness_report


def test_a_rise_at_a_constant_rate() -> None:
    (found,) = rule(sharpness_report([4.0, 6.0, 8.0, 10.0, 12.0]))
    assert "grew 3 times from step 0 to step 400" in found.sentence
    assert "60 % of its threshold" in found.sentence
    # 0.1 of the threshold every 100 steps: 0.4 are missing.
    assert "at the pace of the second half it is there by step 800" in found.evidence


def test_only_steps_at_the_last_rate_count() -> None:
    rates = [0.01, 0.05, 0.1, 0.1, 0.1]
    assert rule(sharpness_report([1.0, 3.0, 6.0, 6.1, 6.2], rate=rates)) == ()
    assert rule(sharpness_report([9.0, 2.0, 3.0, 4.0, 5.0], rate=[0.2, 0.1, 0.1, 0.1, 0.1]))


@pytest.mark.parametrize(
    "values",
    [[4.0, 6.0, 8.0], [4.0, 4.5, 5.0, 5.5], [4.0, 12.0, 3.0, 7.0], [8.0, 12.0, 16.0, 20.0]],
    ids=["three steps", "too little", "up and down", "at the edge"],
)
def test_silent(values: list[float]) -> None:
    assert rule(sharpness_report(values)) == ()


def test_a_rise_within_the_sampling_error_is_none() -> None:
    values = [4.0, 6.0, 8.0, 10.0]
    assert rule(sharpness_report(values))
    assert rule(sharpness_report(values, sampling_error=1.0)) == ()  # 10 - 2 < 1.5 · (4 + 2)


def test_noise_without_a_trend_is_hardly_ever_a_rise() -> None:
    generator = np.random.default_rng(0)
    found = [rule(sharpness_report(8 + generator.normal(size=8))) for _ in range(200)]
    assert sum(map(len, found)) <= 2
