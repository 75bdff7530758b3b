"""The spike score against plain loops; the rolling moments where naive formulas lose all digits."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

from dyntools.measurement import Status
from dyntools.metrics.logs.loss_spikes import (
    FEWEST,
    measure,
    rolling_moments,
    scores,
    window_for,
)
from tests.metrics.logs.hand_made import log_of, snapshot_of


@pytest.mark.parametrize("n", [0, 1, 2, 5, 6, 7, 50, 203])
@pytest.mark.parametrize("window", [2, 5, 6, 50, 300])
def test_rolling_moments_against_plain_loops(n: int, window: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    mean, sd = rolling_moments(values, window)
    assert mean.shape == sd.shape == (n,)
    for i in range(n):
        before = values[max(0, i - window) : i].tolist()
        if before:
            assert mean[i] == pytest.approx(statistics.fmean(before), rel=1e-9, abs=1e-12)
        else:
            assert np.isnan(mean[i])
        if len(before) > 1:
            assert sd[i] == pytest.approx(statistics.stdev(before), rel=1e-9)
        else:
            assert np.isnan(sd[i])


def test_rolling_moments_keep_their_digits_far_from_zero() -> None:
    """With E[x²] - E[x]² nothing is left of the variance of 1e8 ± 1e-3, 22 digits below x²."""
    noise = 1e-3 * np.random.default_rng(0).normal(size=3000)
    _, sd = rolling_moments(1e8 + noise, 500)
    rounded = (1e8 + noise) - 1e8  # what float64 keeps of the noise
    expected = [np.std(rounded[i - 500 : i], ddof=1) for i in range(500, 3000)]
    np.testing.assert_allclose(sd[500:], expected, rtol=1e-4)


def test_a_spike_leaves_no_trace_once_it_has_left_the_window() -> None:
    """Sums that are subtracted again would keep its rounding error for ever."""
    values = np.random.default_rng(0).normal(size=400)
    spiked = values.copy()
    spiked[50] = 1e12
    clean, dirty = rolling_moments(values, 40), rolling_moments(spiked, 40)
    np.testing.assert_allclose(dirty[1][120:], clean[1][120:], rtol=1e-12)


def test_score_against_plain_loops() -> None:
    generator = np.random.default_rng(3)
    values = generator.normal(size=700) + 10
    values[[300, 301, 302, 500, 600]] += [40, 30, 80, 30, -30]
    window, jumps, judged = window_for(700, 1000), [], 0
    for i in range(FEWEST, 700):
        before = values[max(0, i - window) : i].tolist()
        z = (values[i] - statistics.fmean(before)) / statistics.stdev(before)
        judged += 1
        if abs(z) >= 7:
            jumps.append((i, z))
    found = measure(snapshot_of(log_of(train_loss=(range(700), values))))
    assert found.values == pytest.approx(100 * len(jumps) / judged, rel=1e-12)
    assert found.beside["judged"] == judged
    upward = [i for i, z in jumps if z > 0]
    assert found.beside["count"] == sum(i - 1 not in upward for i in upward)
    assert found.beside["last_step"] == upward[-1]
    step, largest = max(jumps, key=lambda pair: pair[1])
    assert found.beside["largest_step"] == step
    assert found.beside["largest_z"] == pytest.approx(largest, rel=1e-9)
    assert found.beside["largest_value"] == values[step]
    mean = statistics.fmean(values[step - window : step])
    assert found.beside["largest_rise"] == pytest.approx(values[step] - mean, rel=1e-9)


def test_a_value_is_not_part_of_its_own_window() -> None:
    """Inside a window of 20 no z can pass 19 / sqrt 20 = 4.2, so that nothing would be a spike."""
    values = np.tile([1.0, 1.1], 15)
    values[25] = 100
    assert np.nanmax(scores(values, 20)[0]) > 100


def test_the_window_is_the_papers_where_the_log_is_long_enough() -> None:
    assert window_for(5000, 1000) == 1000
    assert window_for(10**6, 1000) == 1000
    assert window_for(4999, 1000) == 999
    assert window_for(30, 1000) == FEWEST
    short = measure(snapshot_of(log_of(train_loss=(range(300), np.random.rand(300)))))  # noqa: NPY002
    assert "60 values before, shorter than 1000 as the log has 300" in short.method
    long = measure(snapshot_of(log_of(train_loss=(range(5000), np.arange(5000.0)))))
    assert "shorter" not in long.method


def test_a_steady_descent_has_no_spikes() -> None:
    steps = np.arange(1, 3000)
    for values in (10 / np.sqrt(steps), 5 * np.exp(-steps / 300), 7.0 - steps / 1000):
        found = measure(snapshot_of(log_of(train_loss=(steps, values))))
        assert found.values == 0
        assert found.beside["count"] == 0
        assert np.isnan(found.beside["last_step"])


def test_a_window_without_any_variation_judges_nothing() -> None:
    """A loss rounded to zero that shows one 0.0001 is no spike of infinite height."""
    values = np.zeros(100)
    values[60] = 1e-4
    z, _ = scores(values, 30)
    assert np.isnan(z[:61]).all()
    found = measure(snapshot_of(log_of(train_loss=(range(100), np.ones(100)))))
    assert found.status == Status.failed
    assert "vary" in found.skipped[""]


def test_too_few_values_say_so() -> None:
    found = measure(snapshot_of(log_of(train_loss=(range(FEWEST), range(FEWEST)))))
    assert found.status == Status.failed
    assert f"{FEWEST} values" in found.skipped[""]
    assert np.isnan(found.beside["count"])


def test_the_gradient_norm_has_its_own_score() -> None:
    generator = np.random.default_rng(0)
    norm = 1 + 0.1 * generator.normal(size=500)
    norm[[200, 400]] = 50
    loss = generator.normal(size=500)
    log = log_of(train_loss=(range(500), loss), gradient_norm=(range(500), norm))
    found = measure(snapshot_of(log))
    assert found.values == 0
    assert found.beside["gradient_norm_score"] == pytest.approx(100 * 2 / (500 - FEWEST))
    assert found.beside["gradient_norm_count"] == 2
    alone = measure(snapshot_of(log_of(gradient_norm=(range(500), norm))))
    assert alone.status == Status.skipped
    assert "no training loss" in alone.skipped[""]
    assert alone.beside["gradient_norm_count"] == 2


def test_values_that_are_not_finite_are_left_to_divergence() -> None:
    values = np.random.default_rng(0).normal(size=200)
    with_holes = np.insert(values, [50, 120], [np.nan, np.inf])
    found = measure(snapshot_of(log_of(train_loss=(range(202), with_holes))))
    clean = measure(snapshot_of(log_of(train_loss=(range(200), values))))
    assert found.values == clean.values
    assert found.beside["largest_z"] == clean.beside["largest_z"]


def test_gaussian_noise_has_no_spikes() -> None:
    """200 flat logs of 300 values, windows of 60: none of 56 000 values reaches 7."""
    for seed in range(200):
        values = np.random.default_rng(seed).normal(size=300)
        z, _ = scores(values, window_for(300, 1000))
        assert np.nanmax(np.abs(z)) < 7
        assert math.isclose(float(np.nanmean(z)), 0, abs_tol=0.5)
