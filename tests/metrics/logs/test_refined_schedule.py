"""The refined schedule against its closed forms, and against sums written out."""

from __future__ import annotations

import numpy as np
import pytest

from dyntools.measurement import Status
from dyntools.metrics.logs.refined_schedule import (
    MOST,
    POSITIONS,
    filtered,
    measure,
    schedule_of,
)
from tests.metrics.logs.hand_made import log_of, snapshot_of

AT = np.array(POSITIONS)


def found_for(norms: np.ndarray, every: int = 1, **settings: object) -> object:
    steps = every * np.arange(1, len(norms) + 1)
    return measure(snapshot_of(log_of(gradient_norm=(steps, norms))), **settings)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("every", [1, 10])
def test_a_constant_norm_gives_linear_decay(optimizer: str, every: int) -> None:
    found = found_for(np.full(1000, 3.7), every, optimizer=optimizer)
    # η_t ∝ T - t for t = 1…T, over its largest, T - 1.
    expected = np.minimum((1 - AT) * 1000 / 999, 1)
    np.testing.assert_allclose(found.values, expected, atol=1e-12)
    assert found.values[-1] == 0
    np.testing.assert_allclose(found.error, 0, atol=2e-3)


@pytest.mark.parametrize(("optimizer", "power"), [("adam", 1), ("sgd", 2)])
def test_a_norm_that_falls_as_a_power_gives_warm_up_as_a_power(optimizer: str, power: int) -> None:
    """‖g_t‖ = t^-a: w_t = t^(ap), and η(x) ∝ x^(ap) (1 - x^(ap + 1)) for long runs."""
    x = np.arange(1, 4001) / 4000
    found = found_for(x**-0.5, optimizer=optimizer, filter_share=0)
    b = power / 2
    shape = AT**b * (1 - AT ** (b + 1))
    peak = np.max(x**b * (1 - x ** (b + 1)))
    np.testing.assert_allclose(found.values[1:], (shape / peak)[1:], atol=1e-3)
    assert found.values[0] < 0.05  # warm-up
    top = (b / (2 * b + 1)) ** (1 / (b + 1))  # where the derivative is 0
    assert abs(AT[np.argmax(found.values)] - top) <= 0.025


def test_weights_against_sums_written_out() -> None:
    generator = np.random.default_rng(0)
    weights, spans = generator.random(40) + 0.1, generator.integers(1, 9, 40).astype(float)
    slow = [weights[t] * sum(weights[p] * spans[p] for p in range(t + 1, 40)) for t in range(40)]
    np.testing.assert_allclose(schedule_of(weights, spans), np.array(slow) / max(slow), rtol=1e-12)


def test_a_schedule_does_not_change_with_the_unit_of_the_norm() -> None:
    norms = 1 + np.random.default_rng(1).random(200)
    a, b = found_for(norms), found_for(1e-150 * norms, optimizer="adam")
    np.testing.assert_allclose(a.values, b.values, rtol=1e-12)
    assert np.isfinite(found_for(1e-150 * norms, optimizer="sgd").values).all()


def test_a_single_spike_is_filtered_away() -> None:
    norms = np.full(500, 2.0)
    norms[250] = 1e6
    np.testing.assert_allclose(found_for(norms).values, found_for(np.full(500, 2.0)).values)
    assert filtered(norms, 0).max() == 1e6  # a window of one point filters nothing


def test_the_running_median_repeats_the_start_and_mirrors_the_end() -> None:
    values = np.random.default_rng(2).random(50)
    width = 2 * (int(0.2 * 50) // 2) + 1
    half = width // 2
    long = np.concatenate([np.full(half, values[0]), values, values[-2::-1]])
    slow = [np.median(long[i : i + width]) for i in range(50)]
    np.testing.assert_array_equal(filtered(values, 0.2), slow)


def test_the_learning_rate_of_the_log_stands_beside_it() -> None:
    steps = np.arange(1, 201)
    log = log_of(
        gradient_norm=(steps, np.ones(200)), learning_rate=(steps, 3e-3 * (1 - steps / 200))
    )
    found = measure(snapshot_of(log))
    np.testing.assert_allclose(found.beside["difference"], 0, atol=1e-9)
    without = found_for(np.ones(200))
    assert np.isnan(without.beside["learning_rate"]).all()
    assert (without.status == Status.ok).all()


def test_the_error_covers_what_noise_does() -> None:
    generator = np.random.default_rng(3)
    errors, off = [], []
    for _ in range(20):
        found = found_for(generator.lognormal(0, 0.5, 300))
        exact = found_for(np.ones(300)).values
        errors.append(found.error[5:16])
        off.append(found.values[5:16] - exact[5:16])
    ratio = np.sqrt(np.mean(np.square(off)) / np.mean(np.square(errors)))
    assert 0.5 < ratio < 3


def test_long_logs_are_reduced_to_medians_first() -> None:
    found = found_for(np.full(3 * MOST + 1, 2.0))
    np.testing.assert_allclose(found.values, 1 - AT, atol=1e-3)
    assert "12001 logged L2 norms in" in found.method


def test_too_few_norms_or_none() -> None:
    few = found_for(np.ones(19))
    assert few.values.shape == (0,)
    assert "19 gradient norms" in few.skipped[""]
    none = measure(snapshot_of(log_of(train_loss=([1], [1.0]))))
    assert "--role gradient_norm=NAME" in none.skipped[""]
    zeros = measure(snapshot_of(log_of(gradient_norm=(range(30), [0.0] * 30))))
    assert zeros.values.shape == (0,)
