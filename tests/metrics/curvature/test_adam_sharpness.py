from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from dyntools.measurement import Status
from dyntools.measuring import measure
from dyntools.operators.adam import preconditioner
from tests import problems
from tests.problems import optimizer_state, quadratic, snapshot_of, symmetric, trained


def test_eigenvalues_of_the_dense_preconditioned_hessian() -> None:
    problem = problems.classifier()
    optimizer = torch.optim.AdamW(problem.model.parameters(), lr=1e-2)
    trained(problem, optimizer, 10)
    snapshot = snapshot_of(problem, optimizer=optimizer)
    p = preconditioner(snapshot.risk(), optimizer_state(problem.model, optimizer)).numpy()
    truth = problems.eigenvalues(problems.dense(problem) / np.sqrt(np.outer(p, p)))
    found = measure(snapshot, "adam_sharpness", k=4)
    assert found.error is not None
    assert found.coords == {"rank": (1, 2, 3, 4)}
    assert (np.abs(found.values - truth[:4]) <= found.error + 1e-12 * truth[0]).all()
    np.testing.assert_array_equal(found.beside["learning_rate"], [1e-2] * 4)
    np.testing.assert_allclose(found.beside["threshold"], [38 / 1e-2] * 4)


@pytest.mark.parametrize("beta1", [0.0, 0.9])
@pytest.mark.parametrize(("factor", "stable"), [(0.97, True), (1.03, False)])
def test_torch_adam_goes_unstable_where_the_value_passes_the_threshold(
    beta1: float, factor: float, stable: bool
) -> None:
    """A run of torch.optim.Adam on a parabola, its second moments frozen by β2 → 1.

    P is different for every weight and far from a multiple of one, so that the plain Hessian tells
    nothing: the learning rate is set from the metric's own value, slightly on either side.
    """
    problem = quadratic(symmetric(np.geomspace(30.0, 0.1, 8)))
    optimizer = torch.optim.Adam(problem.model.parameters(), lr=1e-9, betas=(beta1, 1 - 1e-12))
    x = problem.model.get_parameter("x")
    x.grad = torch.linspace(0.1, 3.0, 8, dtype=torch.float64)
    optimizer.step()
    state = optimizer.state[x]
    state["step"].fill_(1e15)  # no correction of bias is left, and 1e-12 of v is a small share
    state["exp_avg_sq"].copy_(x.grad.square())
    with torch.no_grad():
        x.copy_(1e-6 * torch.randn(8, generator=torch.Generator().manual_seed(0)))
    found = measure(snapshot_of(problem, optimizer=optimizer), "adam_sharpness", rtol=1e-9)
    rate = factor * (2 + 2 * beta1) / ((1 - beta1) * found.values[0])
    optimizer.param_groups[0]["lr"] = rate
    again = measure(snapshot_of(problem, optimizer=optimizer), "adam_sharpness", rtol=1e-9)
    assert (again.values[0] < again.beside["threshold"][0]) is np.bool_(stable)
    state["exp_avg"].zero_()
    sizes = []
    for _ in range(600):
        trained(problem, optimizer, 1)
        sizes.append(x.detach().norm().item())
        if sizes[-1] > 1.0:  # a million times the start; from here on v would change
            break
    assert (max(sizes) < 1e-2 and max(sizes[-100:]) < max(sizes[50:150])) is stable


def test_the_plain_hessian_may_grow_while_adam_stays_where_it_is() -> None:
    """Scaling the loss by c scales H by c and P by c: Adam does not care, and the value says so."""
    values = []
    for scale in (1.0, 100.0):
        problem = quadratic(scale * symmetric(np.arange(1.0, 6.0)))
        optimizer = torch.optim.Adam(problem.model.parameters(), lr=1e-3, eps=0.0)
        trained(problem, optimizer, 5)
        found = measure(snapshot_of(problem, optimizer=optimizer), "adam_sharpness", rtol=1e-9)
        values.append(found.values[0])
    assert values[0] == pytest.approx(values[1], rel=1e-6)


def test_before_the_first_step_it_is_skipped_with_the_reason() -> None:
    problem = problems.classifier()
    optimizer = torch.optim.Adam(problem.model.parameters())
    found = measure(snapshot_of(problem, optimizer=optimizer), "adam_sharpness")
    assert found.values.size == 0
    assert "not taken a step" in found.skipped[""]


def test_another_optimizer_is_named() -> None:
    problem = problems.classifier()
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.1)
    found = measure(snapshot_of(problem, optimizer=optimizer), "adam_sharpness")
    assert "sgd" in found.skipped[""]


def test_a_state_that_lacks_a_parameter_is_told() -> None:
    problem = problems.classifier()
    optimizer = torch.optim.Adam(problem.model.parameters())
    trained(problem, optimizer, 2)
    state = optimizer_state(problem.model, optimizer)
    kept = {name: entries for name, entries in state.state.items() if name != "0.weight"}
    found = measure(snapshot_of(problem, optimizer=replace(state, state=kept)), "adam_sharpness")
    assert "0.weight" in found.skipped[""]


def test_moments_that_are_not_finite_fail() -> None:
    problem = problems.classifier()
    optimizer = torch.optim.Adam(problem.model.parameters())
    trained(problem, optimizer, 2)
    next(iter(optimizer.state.values()))["exp_avg_sq"].fill_(math.nan)
    found = measure(snapshot_of(problem, optimizer=optimizer), "adam_sharpness")
    assert not (found.status == Status.ok).any()
    assert "NaN" in found.skipped[""]
