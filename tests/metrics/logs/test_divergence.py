"""Current over initial training loss, what is not finite, and what was lost since the best."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

from dyntools.measurement import Status
from dyntools.metrics.logs.divergence import measure
from tests.metrics.logs.hand_made import log_of, snapshot_of


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("window", [1, 3, 10])
def test_against_plain_loops(seed: int, window: int) -> None:
    generator = np.random.default_rng(seed)
    values = 3 * np.exp(-np.arange(60) / 20) + 0.3 * generator.random(60)
    values[40:] += np.linspace(0, 1, 20)
    steps = np.cumsum(generator.integers(1, 5, 60))
    found = measure(snapshot_of(log_of(train_loss=(steps, values))), window=window)
    x = values.tolist()
    medians = [statistics.median(x[i - window + 1 : i + 1]) for i in range(window - 1, 60)]
    best = medians.index(min(medians))
    assert found.values == pytest.approx(medians[-1] / x[0], rel=1e-9)
    assert found.beside["current_loss"] == pytest.approx(medians[-1], rel=1e-9)
    assert found.beside["initial_loss"] == x[0]
    assert found.beside["best_loss"] == pytest.approx(medians[best], rel=1e-9)
    assert found.beside["best_step"] == steps[best + window - 1]
    lost = (medians[-1] - medians[best]) / (x[0] - medians[best])
    assert found.beside["progress_lost"] == pytest.approx(lost, rel=1e-9)
    assert found.error is not None
    if window == 1:
        assert np.isnan(found.error)
    else:
        scatter = statistics.stdev(x[-window:]) * math.sqrt(1 + math.pi / (2 * window))
        assert found.error == pytest.approx(scatter / x[0], rel=1e-9)


def test_the_error_is_what_noise_does() -> None:
    """A flat noisy loss: the ratio scatters by as much as its error says, within a tenth."""
    ratios, errors = [], []
    for seed in range(2000):
        noise = np.random.default_rng(seed).normal(size=30)
        found = measure(snapshot_of(log_of(train_loss=(range(30), 100 + noise))))
        ratios.append(float(found.values))
        errors.append(float(np.asarray(found.error)))
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(ratios), rel=0.1)


def test_a_single_spike_is_no_divergence() -> None:
    values = np.ones(50)
    values[-1] = 1000
    found = measure(snapshot_of(log_of(train_loss=(range(50), values))))
    assert found.values == 1
    assert found.beside["above_initial"] == 0


def test_a_loss_above_its_start_is_flagged() -> None:
    values = np.concatenate([np.linspace(2, 1, 30), np.full(30, 5.0)])
    found = measure(snapshot_of(log_of(train_loss=(range(60), values))))
    assert found.values == 2.5
    assert found.beside["above_initial"] == 1
    assert found.beside["progress_lost"] > 1


def test_a_loss_that_is_not_finite_now_has_no_ratio() -> None:
    values = [2.0, 1.0, np.nan, 1.0, np.inf]
    found = measure(snapshot_of(log_of(train_loss=([10, 20, 30, 40, 50], values))))
    assert np.isnan(found.values)
    assert found.status == Status.failed
    assert "50" in found.skipped[""]
    assert found.beside["non_finite"] == 2
    assert found.beside["first_bad_step"] == 30
    assert found.beside["best_loss"] == 1
    assert np.isnan(found.beside["above_initial"])


def test_a_loss_that_came_back_has_one() -> None:
    found = measure(snapshot_of(log_of(train_loss=([1, 2, 3], [2.0, np.nan, 1.0]))))
    assert found.values == 0.75  # the median of 2 and 1, over 2
    assert found.status == Status.ok
    assert found.beside["non_finite"] == 1


def test_nothing_finite_at_all() -> None:
    found = measure(snapshot_of(log_of(train_loss=([1, 2], [np.nan, np.nan]))))
    assert found.status == Status.failed
    assert found.beside["non_finite"] == 2
    assert found.beside["first_bad_step"] == 1
    assert np.isnan(found.beside["initial_loss"])


def test_a_loss_that_begins_at_or_below_zero_has_no_share() -> None:
    found = measure(snapshot_of(log_of(train_loss=([1, 2], [-1.0, -2.0]))))
    assert found.status == Status.failed
    assert "above 0" in found.skipped[""]
    assert found.beside["best_loss"] == -1.5


def test_one_point_is_its_own_start() -> None:
    found = measure(snapshot_of(log_of(train_loss=([7], [3.0]))))
    assert found.values == 1
    assert np.isnan(found.error)
    assert np.isnan(found.beside["progress_lost"])
