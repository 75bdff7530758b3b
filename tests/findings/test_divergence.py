"""Divergence: not finite, above the start, or most of the way lost; and where to restart."""

from __future__ import annotations

import numpy as np

from dyntools.findings import Finding, Severity
from dyntools.findings.divergence import rule
from tests.findings.reports import report_of_log
from tests.metrics.logs.hand_made import log_of

STEPS = np.arange(10, 1010, 10)


def found_in(values: np.ndarray, checkpoints: tuple[int, ...] = ()) -> tuple[Finding, ...]:
    return rule(report_of_log(log_of(train_loss=(STEPS, values)), checkpoints=checkpoints))


def falling(seed: int = 0) -> np.ndarray:
    return 2 * np.exp(-STEPS / 200) + 0.5 + 0.02 * np.random.default_rng(seed).normal(size=100)


def test_a_run_that_falls_is_silent() -> None:
    assert found_in(falling()) == ()


def test_a_loss_that_ends_not_finite() -> None:
    values = falling()
    values[60:] = np.nan
    (found,) = found_in(values, (0, 500, 600, 610, 1000))
    assert found.severity is Severity.act
    assert "is not finite; it first was not at step 610" in found.sentence
    assert "Restart from checkpoint step-600.pt (step 600)" in found.remedy
    assert found.evidence == ("training losses that are not finite: 40",)


def test_a_loss_that_was_not_finite_and_came_back() -> None:
    values = falling()
    values[[30, 31]] = np.inf
    (found,) = found_in(values)
    assert found.severity is Severity.watch
    assert "not finite 2 times, first at step 310, and has come back" in found.sentence


def test_a_loss_above_its_start() -> None:
    values = falling()
    values[70:] = 9.0
    (found,) = found_in(values, (400, 700, 1000))
    assert found.severity is Severity.act
    assert "is 9 at step 1000, above the 2.4" in found.sentence
    assert "step-700.pt" in found.remedy


def test_a_loss_that_went_most_of_the_way_back() -> None:
    values = falling()
    values[70:] = 2.0
    (found,) = found_in(values)
    assert found.severity is Severity.act
    assert "of the progress is lost" in found.sentence
    assert "back at 2:" in found.sentence
    assert "Restart from the beginning" in found.remedy


def test_a_single_spike_at_the_end_is_silent() -> None:
    values = falling()
    values[-1] = 50
    assert found_in(values) == ()


def test_a_flat_noisy_loss_hardly_ever_fires() -> None:
    """1 of 1000 runs without any learning; 4 standard errors would give 3e-5 if the error were
    known, but it is estimated from ten values."""
    fired = 0
    for seed in range(1000):
        noise = np.random.default_rng(seed).normal(size=100)
        fired += bool(found_in(10 + noise))
    assert fired <= 6
