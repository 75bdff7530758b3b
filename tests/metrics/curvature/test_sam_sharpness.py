"""sam_sharpness against its closed form on quadratics, alone and in groups of examples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dyntools.measurement import Measurement, Status
from dyntools.measuring import measure
from dyntools.problem import Engine, Problem
from dyntools.snapshot import Tensors
from tests import problems

RHO = 0.3


def closed_form(hessian: problems.Array, x: problems.Array, rho: float = RHO) -> tuple[float, ...]:
    """rise, linear part and first-order flatness of ½ xᵀHx."""
    gradient = hessian @ x
    length = np.linalg.norm(gradient)
    step = rho * gradient / length
    rise = rho * length + 0.5 * step @ hessian @ step
    return rise, rho * length, rho * np.linalg.norm(hessian @ (x + step))


def sam(problem: Problem, **settings: float) -> Measurement:
    return measure(problems.snapshot_of(problem), "sam_sharpness", **settings)


@pytest.mark.parametrize("eigenvalues", [[3.0, 1.0, 0.2], [5.0, 0.0, -2.0, -2.0]])
def test_closed_form_of_a_quadratic(eigenvalues: list[float]) -> None:
    hessian = problems.symmetric(eigenvalues)
    problem = problems.quadratic(hessian)
    found = sam(problem, rho=RHO)
    rise, linear, flatness = closed_form(hessian, problem.model.x.detach().numpy())
    assert found.dims == ()
    np.testing.assert_allclose(found.values, rise, rtol=1e-12)
    np.testing.assert_allclose(found.beside["linear"], linear, rtol=1e-12)
    np.testing.assert_allclose(found.beside["first_order_flatness"], flatness, rtol=1e-12)
    assert abs(found.values - rise) <= found.error


def test_default_radius_is_that_of_the_paper() -> None:
    hessian = problems.symmetric([2.0, 1.0])
    problem = problems.quadratic(hessian)
    expected = closed_form(hessian, problem.model.x.detach().numpy(), rho=0.05)[0]
    np.testing.assert_allclose(sam(problem).values, expected, rtol=1e-12)


def test_groups_climb_their_own_loss() -> None:
    """m = 1 on quadratics: the mean and standard error of the closed forms of all examples."""
    hessians = np.stack([problems.symmetric([4.0, 1.0, 0.5], seed=i) for i in range(8)])
    problem = problems.quadratic(hessians)
    found = sam(problem, rho=RHO, m=1)
    x = problem.model.x.detach().numpy()
    rises = np.array([closed_form(h, x)[0] for h in hessians])
    np.testing.assert_allclose(found.values, rises.mean(), rtol=1e-12)
    np.testing.assert_allclose(found.error, rises.std(ddof=1) / np.sqrt(8), rtol=1e-9)
    assert found.values > sam(problem, rho=RHO).values  # m-sharpness is never below the whole


def test_error_over_groups_covers_the_mean_over_all_examples() -> None:
    """8 of 64 groups, drawn anew by each seed: the mean over all lies within one standard error in
    about 68 %, within two in about 95 % of the draws."""
    hessians = np.stack([problems.symmetric([4.0, 1.0, 0.5], seed=i) for i in range(64)])
    problem = problems.quadratic(hessians)
    x = problem.model.x.detach().numpy()
    truth = np.mean([closed_form(h, x)[0] for h in hessians])
    draws = [sam(problem, rho=RHO, m=1, groups=8, seed=seed) for seed in range(40)]
    off = np.array([(found.values - truth) / found.error for found in draws])
    assert 0.5 <= (np.abs(off) < 1).mean() <= 0.9
    assert (np.abs(off) < 2).mean() >= 0.85


def test_a_group_as_large_as_the_probe_is_the_probe() -> None:
    problem = problems.classifier()
    assert sam(problem, m=48).values == sam(problem).values


def test_float32_is_off_by_less_than_its_error() -> None:
    exact = problems.classifier()
    rough = problems.classifier(engine=Engine())
    found, truth = sam(rough, rho=1e-3), float(sam(exact, rho=1e-3).values)
    assert 0.0 < abs(float(found.values) - truth) <= float(found.error)


def test_first_order_limit() -> None:
    """rise / ρ → |g| as ρ → 0, with an error that falls with ρ."""
    problem = problems.classifier()
    gaps = [abs(float(sam(problem, rho=r).values) / r - _length(problem)) for r in (1e-2, 1e-3)]
    assert gaps[1] < 0.15 * gaps[0]


def test_a_zero_gradient_points_nowhere() -> None:
    problem = problems.quadratic(problems.symmetric([1.0, 2.0]))
    origin = {"x": torch.zeros(2, dtype=torch.float64)}
    found = measure(problems.snapshot_of(problem, origin), "sam_sharpness")
    assert np.isnan(found.values)
    assert found.status == Status.failed
    assert "zero" in found.skipped[""]


def test_weights_that_are_not_finite_give_a_sentence() -> None:
    problem = problems.quadratic(problems.symmetric([1.0, 2.0]))
    good = problems.snapshot_of(problem)
    measure(good, "sam_sharpness")
    bad = Tensors.of({"x": torch.tensor([float("nan"), 1.0], dtype=torch.float64)})
    found = measure(replace(good, params=bad, _computed={}), "sam_sharpness")
    assert np.isnan(found.values)
    assert "finite" in found.skipped[""]


def _length(problem: Problem) -> float:
    return float(problems.snapshot_of(problem).risk().gradient().norm())
