"""Plateau: flat and past its patience; neither falling, nor rising, nor too noisy to tell."""

from __future__ import annotations

import numpy as np

from dyntools.findings import Finding
from dyntools.findings.plateau import rule
from tests.findings.reports import report_of_log
from tests.metrics.logs.hand_made import log_of

STEPS = np.arange(100, 4100, 100)


def found_in(values: np.ndarray) -> tuple[Finding, ...]:
    return rule(report_of_log(log_of(validation_loss=(STEPS, values))))


def stalled(slope: float = 0.0, noise: float = 0.002, seed: int = 1) -> np.ndarray:
    """Falls until step 1500, with a dip there, and is flat or sloped behind it."""
    generator = np.random.default_rng(seed)
    values = 1 + 2 * np.exp(-STEPS / 300) + noise * generator.normal(size=len(STEPS))
    values[14] = 0.98
    return values + slope * np.clip(STEPS - 1500, 0, None)


def test_a_flat_loss_is_a_plateau() -> None:
    (found,) = found_in(stalled())
    assert found.sentence.startswith(
        "Validation loss has not improved for 25 checks, since step 1500"
    )
    assert "(0.98; now 1)" in found.sentence


def test_power() -> None:
    """190 of 200: the 95 % interval of the slope leaves out a true zero in the other ten."""
    assert sum(bool(found_in(stalled(seed=seed))) for seed in range(200)) >= 180


def test_a_rise_belongs_to_another_rule() -> None:
    assert found_in(stalled(slope=1e-4)) == ()


def test_a_fall_is_no_plateau() -> None:
    assert found_in(stalled(slope=-1e-5) + np.where(STEPS > 1500, 0.05, 0)) == ()


def test_noise_too_wide_to_call_it_flat_is_silent() -> None:
    assert found_in(stalled(noise=0.2)) == ()


def test_training_loss_is_named_as_such() -> None:
    generator = np.random.default_rng(0)
    steps = np.arange(5000)
    values = 1 + 5 * np.exp(-steps / 200) + 0.05 * generator.normal(size=5000)
    values[2000:2100] -= 0.05
    (found,) = rule(report_of_log(log_of(train_loss=(steps, values))))
    assert found.sentence.startswith("Training loss has not improved")
