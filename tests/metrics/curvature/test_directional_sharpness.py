"""directional_sharpness against quadratics, dense Hessians and live optimizers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dyntools.checkpoint import OptimizerState
from dyntools.measurement import Measurement, Status
from dyntools.measuring import measure
from dyntools.problem import Engine
from tests import problems


def flat(params: dict[str, torch.Tensor]) -> problems.Array:
    return np.concatenate([p.detach().double().reshape(-1).numpy() for p in params.values()])


def along(matrix: problems.Array, u: problems.Array) -> float:
    return float(u @ matrix @ u / (u @ u))


def at(found: Measurement, name: str) -> int:
    return found.coords["direction"].index(name)


def test_closed_form_of_a_quadratic() -> None:
    matrix = problems.symmetric([5.0, 1.0, 0.0, -2.0])
    problem = problems.quadratic(matrix)
    x = problem.model.x.detach().numpy()
    before = x + np.array([0.3, -0.1, 0.2, 0.4])
    previous = problems.snapshot_of(problem, {"x": torch.from_numpy(before)}, step=90)
    found = measure(problems.snapshot_of(problem, previous=previous), "directional_sharpness")
    assert found.coords["direction"] == ("gradient", "update")
    g, u = matrix @ x, x - before
    np.testing.assert_allclose(found.values, [along(matrix, g), along(matrix, u)], rtol=1e-12)
    cosine = -(g @ u) / np.linalg.norm(g) / np.linalg.norm(u)
    np.testing.assert_allclose(found.beside["cosine"], [1.0, cosine], rtol=1e-12)
    assert found.matvecs == 2


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_within_its_error_of_the_dense_hessian(dtype: torch.dtype) -> None:
    problem = problems.classifier(engine=Engine(dtype=dtype))
    now = problems.params_of(problem)
    before = problems.moved(now, 0.01)
    matrix = problems.dense(problem, now)
    previous = problems.snapshot_of(problem, before, step=90)
    found = measure(problems.snapshot_of(problem, previous=previous), "directional_sharpness")
    truth = along(matrix, flat(now) - flat(before))
    assert abs(found.values[1] - truth) <= found.error[1]
    assert found.error[1] < 1e-4 * abs(truth)


def test_adam_steps_along_its_own_direction() -> None:
    """The direction from the state is the difference of the weights over Adam's own last step."""
    problem = problems.classifier()
    optimizer = torch.optim.Adam(problem.model.parameters(), lr=1e-3)
    problems.trained(problem, optimizer, 7)
    before = problems.params_of(problem)
    problems.trained(problem, optimizer, 1)
    previous = problems.snapshot_of(problem, before, step=7)
    snapshot = problems.snapshot_of(problem, step=8, previous=previous, optimizer=optimizer)
    found = measure(snapshot, "directional_sharpness")
    update, adam = at(found, "update"), at(found, "adam")
    assert found.values[update] == pytest.approx(found.values[adam], rel=1e-9)
    assert found.beside["cosine"][update] == pytest.approx(found.beside["cosine"][adam], rel=1e-9)
    assert (found.beside["learning_rate"] == 1e-3).all()
    assert np.isnan(found.beside["threshold"]).all()  # that of Adam is not for this Hessian


def test_gradient_descent_updates_along_the_gradient_before() -> None:
    matrix = problems.symmetric([3.0, 1.0, 0.5])
    problem = problems.quadratic(matrix)
    before = problems.params_of(problem)
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.1, momentum=0.9)
    gradient = matrix @ before["x"].numpy()
    with torch.no_grad():
        problem.model.x.sub_(0.1 * torch.from_numpy(gradient))
    previous = problems.snapshot_of(problem, before, step=90)
    snapshot = problems.snapshot_of(problem, previous=previous, optimizer=optimizer)
    found = measure(snapshot, "directional_sharpness")
    assert found.coords["direction"] == ("gradient", "update")
    assert found.values[1] == pytest.approx(along(matrix, gradient), rel=1e-9)
    np.testing.assert_allclose(found.beside["threshold"], 2 * 1.9 / 0.1)


def test_what_is_not_there_is_absent_with_a_reason() -> None:
    problem = problems.classifier()
    found = measure(problems.snapshot_of(problem), "directional_sharpness")
    assert found.status.tolist() == [Status.ok, Status.absent]
    assert "no checkpoint before" in found.skipped["update"]
    assert np.isnan(found.error[1])
    other = problems.snapshot_of(problem, {"0.weight": torch.zeros(2)}, step=3)
    found = measure(problems.snapshot_of(problem, previous=other), "directional_sharpness")
    assert "step 3 has another shape of 0.weight" in found.skipped["update"]


def test_adam_before_its_first_step() -> None:
    problem = problems.classifier()
    group = {"lr": 1e-3, "betas": (0.9, 0.999), "params": tuple(problems.params_of(problem))}
    fresh = OptimizerState("adam", (group,), {}, "by name")
    found = measure(problems.snapshot_of(problem, optimizer=fresh), "directional_sharpness")
    assert found.status[at(found, "adam")] == Status.absent
    assert "not taken a step" in found.skipped["adam"]


def test_directions_of_no_length() -> None:
    problem = problems.quadratic(problems.symmetric([2.0, 1.0]))
    minimum = {"x": torch.zeros(2, dtype=torch.float64)}
    previous = problems.snapshot_of(problem, minimum, step=90)
    found = measure(
        problems.snapshot_of(problem, minimum, previous=previous), "directional_sharpness"
    )
    assert found.status.tolist() == [Status.failed, Status.failed]
    assert set(found.skipped) == {"gradient", "update"}
    assert all(math.isnan(value) for value in found.values)
