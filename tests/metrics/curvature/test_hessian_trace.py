"""hessian_trace against known spectra: exactness, standard error, what Hutch++ gains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dyntools.measurement import Status
from dyntools.measuring import measure
from dyntools.problem import Engine
from dyntools.snapshot import Snapshot, Tensors
from tests import problems

SEEDS = 60


def spectrum(size: int = 200) -> problems.Array:
    """Five outliers above a bulk around zero, a few negative ones below."""
    bulk = np.random.default_rng(0).normal(0, 0.3, size - 8) ** 3
    return np.concatenate([[20.0, 14.0, 9.0, 5.0, 4.0], bulk, [-1.5, -1.0, -0.8]])


def draws(snapshot: Snapshot, **settings: float | str) -> tuple[problems.Array, problems.Array]:
    """Values and errors over seeds."""
    found = [
        measure(replace(snapshot, _computed={}), "hessian_trace", seed=i, **settings)
        for i in range(SEEDS)
    ]
    return np.array([float(f.values) for f in found]), np.array([float(f.error) for f in found])


@pytest.mark.parametrize("route", ["xtrace", "hutch++", "hutchinson"])
def test_one_standard_error_is_one_standard_error(route: str) -> None:
    eigenvalues = spectrum()
    snapshot = problems.snapshot_of(problems.quadratic(problems.symmetric(eigenvalues)))
    values, errors = draws(snapshot, route=route)
    off = np.abs(values - eigenvalues.sum()) / errors
    assert 0.5 <= (off < 1).mean() <= 0.85
    assert (off < 2).mean() >= 0.86
    unbiased = np.abs(values.mean() - eigenvalues.sum())
    assert unbiased < 4 * values.std() / np.sqrt(SEEDS)


def test_outliers_cost_the_default_nothing() -> None:
    snapshot = problems.snapshot_of(problems.quadratic(problems.symmetric(spectrum())))
    default, sampled = draws(snapshot)[1].mean(), draws(snapshot, route="hutchinson")[1].mean()
    assert default < 0.2 * sampled


@pytest.mark.parametrize("products", [8, 48])
def test_a_matrix_of_low_rank_is_exact_and_takes_no_more_products_than_that(products: int) -> None:
    eigenvalues = np.concatenate([[5.0, -3.0], np.zeros(98)])
    snapshot = problems.snapshot_of(problems.quadratic(problems.symmetric(eigenvalues)))
    found = measure(snapshot, "hessian_trace", products=products)
    np.testing.assert_allclose(found.values, 2.0, rtol=1e-9)
    assert found.error < 1e-9
    assert found.matvecs <= 6


@pytest.mark.parametrize("route", ["xtrace", "hutch++"])
def test_enough_products_give_the_whole_trace(route: str) -> None:
    problem, hessian = problems.softmax_regression()
    found = measure(problems.snapshot_of(problem), "hessian_trace", route=route)
    np.testing.assert_allclose(found.values, np.trace(hessian), rtol=1e-9)
    np.testing.assert_allclose(found.beside["per_parameter"], np.trace(hessian) / 12, rtol=1e-9)
    assert found.error < 1e-9


def test_without_room_for_a_basis_it_only_samples() -> None:
    eigenvalues = spectrum()
    engine = Engine(dtype=torch.float64, basis_memory=10 * 200 * 8)
    problem = problems.quadratic(problems.symmetric(eigenvalues), engine=engine)
    found = measure(problems.snapshot_of(problem), "hessian_trace")
    assert found.method == "Hutchinson, 48 products"
    assert abs(found.values - eigenvalues.sum()) < 4 * found.error


def test_weights_that_are_not_finite_give_a_sentence() -> None:
    problem = problems.classifier()
    good = problems.snapshot_of(problem)
    measure(good, "hessian_trace")
    bad = {name: torch.full_like(p, float("nan")) for name, p in good.params.items()}
    found = measure(replace(good, params=Tensors.of(bad), _computed={}), "hessian_trace")
    assert found.status == Status.failed
    assert np.isnan(found.error)
    assert "finite" in found.skipped[""]
