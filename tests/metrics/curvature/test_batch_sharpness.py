from __future__ import annotations

import math

import numpy as np
import pytest

from dyntools.measurement import Status
from dyntools.measuring import measure
from dyntools.metrics.curvature.batch_sharpness import batch_sizes, fitted, law
from tests import problems
from tests.problems import Array, quadratic, snapshot_of, symmetric


def noisy(examples: int, size: int, outlier: float, sigma: float, seed: int = 0) -> Array:
    """One Hessian an example: an outlier u uᵀ and a symmetric Gaussian matrix, (N, n, n)."""
    rng = np.random.default_rng(seed)
    noise = sigma * rng.standard_normal((examples, size, size))
    u = rng.standard_normal(size)
    u /= np.linalg.norm(u)
    return np.asarray((noise + noise.transpose(0, 2, 1)) / math.sqrt(2) + outlier * np.outer(u, u))


def test_mini_batches_of_a_spiked_matrix_follow_the_law() -> None:
    """λ + n σ² x / λ, with all three constants known."""
    examples, size, outlier, sigma = 512, 60, 10.0, 3.0
    problem = quadratic(noisy(examples, size, outlier, sigma))
    found = measure(snapshot_of(problem), "batch_sharpness", draws=6)
    assert found.error is not None
    assert found.coords == {"batch_size": (16, 32, 64, 128, 256, 512)}
    whole = np.linalg.eigvalsh(problem.batches[0].mean(0).numpy())[-1]  # type: ignore[index]
    x = 1 / np.array(found.coords["batch_size"]) - 1 / examples
    expected = law(whole, size * sigma**2, x)
    off = np.abs(found.values - expected)
    assert (off <= 3.5 * found.error + 0.02 * expected).all()
    assert found.values[-1] == pytest.approx(whole, rel=1e-3)
    beside = {name: array[0] for name, array in found.beside.items()}
    assert beside["extrapolated_error"] < 0.05 * whole
    assert beside["extrapolated"] == pytest.approx(whole, abs=4 * beside["extrapolated_error"])
    bias = size * sigma**2 / (examples * whole)  # s/(Nλ)
    assert whole - beside["infinite"] == pytest.approx(bias, abs=4 * beside["infinite_error"])
    assert beside["infinite_error"] < bias / 3


def test_the_error_is_the_standard_error_of_the_draws() -> None:
    problem = problems.classifier(examples=64, cut=64)
    found = measure(snapshot_of(problem), "batch_sharpness", sizes=2, draws=4)
    assert found.error is not None
    assert found.coords == {"batch_size": (16, 32, 64)}
    np.testing.assert_allclose(found.error[:2], found.beside["spread"][:2] / 2, rtol=0.1)
    assert found.beside["spread"][2] == 0.0


def test_each_draw_is_the_eigenvalue_of_its_examples() -> None:
    """The mean over draws against dense Hessians of the same examples."""
    hessians = np.stack([symmetric(np.arange(6.0), seed=s) for s in range(16)])
    found = measure(
        snapshot_of(quadratic(hessians)), "batch_sharpness", sizes=2, draws=3, rtol=1e-9
    )
    generator = np.random.default_rng(0)
    for i, size in enumerate((4, 8)):
        parts = [generator.choice(16, size, replace=False) for _ in range(3)]
        tops = [np.linalg.eigvalsh(hessians[part].mean(0))[-1] for part in parts]
        assert found.values[i] == pytest.approx(np.mean(tops), rel=1e-6)


def test_examples_that_are_all_alike_have_no_batch_effect() -> None:
    problem = quadratic(np.stack([symmetric([5.0, 1.0, 0.5])] * 32))
    found = measure(snapshot_of(problem), "batch_sharpness")
    np.testing.assert_allclose(found.values, 5.0, rtol=1e-9)
    assert found.beside["extrapolated"][0] == pytest.approx(5.0, rel=1e-6)
    assert found.beside["infinite"][0] == pytest.approx(5.0, rel=1e-6)


def test_both_branches_meet_and_the_fit_finds_its_constants() -> None:
    value, noise = 3.0, 50.0
    edge = value**2 / noise
    below, above = law(value, noise, np.array([edge * (1 - 1e-9), edge * (1 + 1e-9)]))
    assert below == pytest.approx(2 * value)
    assert above == pytest.approx(2 * value)
    x = edge * np.array([4.0, 2.0, 0.7, 0.4, 0.1])
    found = fitted(x, law(value, noise, x), np.full(5, 1e-3))
    assert found is not None
    assert found.value == pytest.approx(value, rel=1e-6)
    assert found.noise == pytest.approx(noise, rel=1e-6)


def test_the_stated_error_of_the_fit_is_its_scatter() -> None:
    """Over many data sets the extrapolated value scatters by the error it states."""
    rng = np.random.default_rng(0)
    x = np.array([0.06, 0.03, 0.015, 0.007, 0.003])
    errors = 0.02 * law(4.0, 60.0, x)
    values, stated = [], []
    for _ in range(300):
        found = fitted(x, law(4.0, 60.0, x) + errors * rng.standard_normal(5), errors)
        assert found is not None
        values.append(found.value)
        stated.append(found.error(np.zeros(1))[0])
    assert np.mean(values) == pytest.approx(4.0, rel=0.01)
    assert 0.8 < np.mean(stated) / np.std(values) < 1.6


def test_without_an_outlier_nothing_is_extrapolated() -> None:
    x = np.array([0.06, 0.03, 0.015, 0.007])
    assert fitted(x, 2 * np.sqrt(100.0 * x), np.full(4, 1e-6)) is None
    assert fitted(x, -np.ones(4), np.ones(4)) is None
    assert fitted(x[:2], np.ones(2), np.ones(2)) is None


def test_a_negative_curvature_has_no_law_and_keeps_its_values() -> None:
    hessians = np.stack([-symmetric([5.0, 1.0 + s / 50, 0.5]) for s in range(32)])
    found = measure(snapshot_of(quadratic(hessians)), "batch_sharpness")
    assert (found.status == Status.ok).all()
    assert (found.values < 0).all()
    assert np.isnan(found.beside["extrapolated"]).all()
    assert "law" in found.skipped["fit"]


def test_sizes_are_halves_as_far_as_they_are_batches() -> None:
    assert batch_sizes(300, 3) == (37, 75, 150, 300)
    assert batch_sizes(20, 5) == (5, 10, 20)
    assert batch_sizes(7, 5) == (7,)


def test_a_small_probe_is_refused_with_a_sentence() -> None:
    problem = problems.classifier(examples=6)
    found = measure(snapshot_of(problem), "batch_sharpness")
    assert found.values.size == 0
    assert "6 examples" in found.skipped[""]
