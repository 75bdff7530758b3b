"""hessian_density against the smoothed spectra it stands for, and its error against seeds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dyntools.measurement import Status
from dyntools.measuring import measure
from dyntools.metrics.curvature.hessian_density import AXIS, POINTS
from dyntools.problem import Engine
from dyntools.snapshot import Tensors
from tests import problems

X = np.array(POINTS)


def smoothed(eigenvalues: problems.Array, width: float = 0.03) -> problems.Array:
    """Every eigenvalue as a normal curve, on the axis of the largest."""
    away = (X[:, None] - eigenvalues / np.abs(eigenvalues).max()) / width
    return np.exp(-0.5 * away**2).mean(1) / (width * np.sqrt(2 * np.pi))


def spectra(size: int = 200) -> dict[str, problems.Array]:
    rng = np.random.default_rng(0)
    bulk = rng.normal(0, 0.3, size - 8) ** 3
    return {
        "outliers": np.concatenate([[20.0, 14.0, 9.0, 5.0, 4.0], bulk, [-1.5, -1.0, -0.8]]),
        "one-sided": rng.exponential(1.0, size),
        "semicircle": 2 * rng.beta(1.5, 1.5, size) - 1,
    }


@pytest.mark.parametrize("name", spectra())
def test_truth_lies_within_the_error(name: str) -> None:
    """Within one in about 68 %, within two in about 95 % of points and seeds, also where a single
    eigenvalue got little weight from eight probes: their spread alone was five times too small."""
    eigenvalues = spectra()[name]
    truth = smoothed(eigenvalues)
    problem = problems.quadratic(problems.symmetric(eigenvalues))
    snapshot = problems.snapshot_of(problem)
    off = []
    for i in range(12):
        found = measure(replace(snapshot, _computed={}), "hessian_density", seed=i)
        least = 1e-9 * truth.max()  # far from every node the error is zero
        off.append(np.abs(found.values[0] - truth) / np.maximum(found.error[0], least))
        assert found.error.max() < 0.5 * truth.max()
    seen = np.array(off)[:, truth > 1e-6 * truth.max()]
    assert 0.58 <= (seen < 1).mean() <= 0.85
    assert (seen < 2).mean() >= 0.86


def test_outliers_stand_where_they_are() -> None:
    """Positions are exact however few the probes; counts say one each within their error."""
    eigenvalues = spectra()["outliers"]
    problem = problems.quadratic(problems.symmetric(eigenvalues))
    found = measure(problems.snapshot_of(problem), "hessian_density", probes=64)
    np.testing.assert_allclose(found.beside["eigenvalue"][0], 20.0 * X, rtol=1e-9)
    count = found.beside["count"][0]
    for outlier in (14.0, 9.0):
        near = np.abs(X - outlier / 20.0) < 0.1
        centre = (count[near] * X[near]).sum() / count[near].sum()
        assert abs(centre - outlier / 20.0) < 1e-3
        assert abs(count[near].sum() - 1.0) < 4 * np.sqrt(2 / 64)
    np.testing.assert_allclose(count.sum(), 199.5, atol=0.3)  # half of the largest is past the end


def test_the_area_is_one() -> None:
    eigenvalues = np.concatenate([np.random.default_rng(1).uniform(-0.7, 0.7, 99), [1.0]])
    problem = problems.quadratic(problems.symmetric(eigenvalues))
    found = measure(problems.snapshot_of(problem), "hessian_density")
    np.testing.assert_allclose(found.values.sum() * 0.01, 1.0, atol=0.02)
    assert (found.values >= 0).all()


def test_few_distinct_eigenvalues_are_found_exactly() -> None:
    """Three values, many times: only the weights are left to chance."""
    eigenvalues = np.repeat([2.0, 1.0, -1.0], 20)
    problem = problems.quadratic(problems.symmetric(eigenvalues))
    found = measure(problems.snapshot_of(problem), "hessian_density")
    off = np.abs(found.values[0] - smoothed(eigenvalues))
    assert (off <= 4 * found.error[0] + 1e-9).all()


def test_without_room_for_the_basis_the_density_is_the_same() -> None:
    """Repeated nodes share the weight of one."""
    eigenvalues = spectra()["outliers"]
    matrix = problems.symmetric(eigenvalues)
    roomy = measure(problems.snapshot_of(problems.quadratic(matrix)), "hessian_density")
    engine = Engine(dtype=torch.float64, basis_memory=1000)
    tight_problem = problems.quadratic(matrix, engine=engine)
    tight = measure(problems.snapshot_of(tight_problem), "hessian_density")
    np.testing.assert_allclose(tight.values, roomy.values, atol=0.05 * roomy.values.max())
    off = np.abs(tight.values[0] - smoothed(eigenvalues))
    assert (off <= 5 * tight.error[0] + 1e-6).mean() > 0.95


def test_blocks_and_axis() -> None:
    problem = problems.classifier()
    hessian = problems.dense(problem)
    found = measure(problems.snapshot_of(problem), "hessian_density", block="layer", steps=30)
    assert found.dims == ("block", AXIS)
    assert found.coords["block"] == ("all", "0.weight", "0.bias", "2.weight", "2.bias")
    sharpest = np.abs(np.linalg.eigvalsh(hessian[35:55, 35:55])).max()  # of 2.weight
    np.testing.assert_allclose(found.beside["eigenvalue"][3, -1], sharpest, rtol=1e-9)


def test_weights_that_are_not_finite_and_a_flat_loss_give_a_sentence() -> None:
    flat = problems.snapshot_of(problems.quadratic(np.zeros((3, 3))))
    found = measure(flat, "hessian_density")
    assert (found.status == Status.failed).all()
    assert "zero" in found.skipped["all"]
    good = problems.snapshot_of(problems.classifier())
    measure(good, "hessian_density", steps=2)
    bad = {name: torch.full_like(p, float("nan")) for name, p in good.params.items()}
    found = measure(replace(good, params=Tensors.of(bad), _computed={}), "hessian_density")
    assert (found.status == Status.failed).all()
    assert "finite" in found.skipped["all"]
