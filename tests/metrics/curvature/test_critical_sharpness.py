"""critical_sharpness against the law of quadratics, finer scans, and live optimizers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from dyntools.measurement import Measurement, Status
from dyntools.measuring import measure
from dyntools.problem import Engine
from tests import problems


def assert_near(found: Measurement, truth: float) -> None:
    assert found.status == Status.ok
    assert abs(found.values - truth) <= found.error
    assert found.error < 0.02 * abs(truth)


def law(matrix: problems.Array, gradient: problems.Array, step: problems.Array) -> float:
    """sᵀHs / (-gᵀs) for a step s."""
    return float(step @ matrix @ step / -(gradient @ step))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_law_of_quadratics(dtype: torch.dtype) -> None:
    matrix = problems.symmetric([50.0, 1.0, 0.1, -0.3])
    problem = problems.quadratic(matrix, engine=Engine(dtype=dtype))
    g = matrix @ problem.model.x.detach().double().numpy()
    found = measure(problems.snapshot_of(problem), "critical_sharpness")
    assert_near(found, law(matrix, g, -g))
    assert found.matvecs == 0
    assert 3 < found.beside["forward_passes"] <= 20
    assert f"{int(found.beside['forward_passes'])} forward passes" in found.method


def test_finer_on_request() -> None:
    matrix = problems.symmetric([50.0, 1.0, 0.1, -0.3])
    problem = problems.quadratic(matrix)
    coarse, fine = (
        measure(problems.snapshot_of(problem), "critical_sharpness", rtol=rtol)
        for rtol in (0.1, 1e-4)
    )
    assert fine.error < 2e-4 * fine.values
    assert abs(coarse.values - fine.values) <= coarse.error + fine.error


def test_the_first_rise_of_a_network() -> None:
    """Against a scan of the loss along the gradient by a fine grid."""
    problem = problems.classifier()
    snapshot = problems.snapshot_of(problem)
    found = measure(snapshot, "critical_sharpness")
    risk = snapshot.risk()
    g, start = risk.gradient(), risk.loss()
    steps = 2.0 / found.values * np.linspace(0.001, 1.1, 600)
    rises = [eta for eta in steps if risk.loss(risk.theta - eta * g) > start]
    assert_near(found, 2.0 / rises[0])
    assert found.values <= problems.eigenvalues(problems.dense(problem))[0] * 1.5


def test_adam_along_its_own_step() -> None:
    matrix = problems.symmetric([4.0, 1.0, 0.2])
    problem = problems.quadratic(matrix)
    optimizer = torch.optim.Adam(problem.model.parameters(), lr=1e-2)
    problems.trained(problem, optimizer, 5)
    before = problem.model.x.detach().numpy().copy()
    snapshot = problems.snapshot_of(problem, optimizer=optimizer)
    found = measure(snapshot, "critical_sharpness", direction="adam")
    g = matrix @ before
    state = optimizer.state[problem.model.x]
    m = (state["exp_avg"] / (1 - 0.9**5)).numpy()
    v = (state["exp_avg_sq"] / (1 - 0.999**5)).numpy()
    assert_near(found, law(matrix, g, -m / (np.sqrt(v) + 1e-8)))
    assert found.beside["threshold"] == 2.0 / 1e-2


def test_the_last_update_in_units_of_the_learning_rate() -> None:
    """One step of gradient descent: D is the gradient before, taken once more from here."""
    matrix = problems.symmetric([4.0, 1.0, 0.2])
    problem = problems.quadratic(matrix)
    before = problems.params_of(problem)
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.05)
    problems.trained(problem, optimizer, 1)
    previous = problems.snapshot_of(problem, before, step=99)
    snapshot = problems.snapshot_of(problem, previous=previous, optimizer=optimizer)
    found = measure(snapshot, "critical_sharpness", direction="update")
    x = problem.model.x.detach().numpy()
    assert_near(found, law(matrix, matrix @ x, -matrix @ before["x"].numpy()))


def test_above_the_threshold_a_step_raises_the_loss() -> None:
    problem = problems.classifier()
    g = problems.snapshot_of(problem).risk().gradient()
    for rate in (0.1, 30.0):
        optimizer = torch.optim.SGD(problem.model.parameters(), lr=rate)
        snapshot = problems.snapshot_of(problem, optimizer=optimizer)
        found = measure(snapshot, "critical_sharpness")
        assert found.beside["threshold"] == 2.0 / rate
        risk = snapshot.risk()
        rises = risk.loss(risk.theta - rate * g) > risk.loss()
        assert (found.values > found.beside["threshold"]) == rises


def test_the_rate_of_adam_says_nothing_along_the_gradient() -> None:
    problem = problems.classifier()
    optimizer = torch.optim.Adam(problem.model.parameters(), lr=1e-2)
    problems.trained(problem, optimizer, 2)
    found = measure(problems.snapshot_of(problem, optimizer=optimizer), "critical_sharpness")
    assert np.isnan(found.beside["threshold"])


def test_the_step_before_saves_passes() -> None:
    matrix = problems.symmetric([5000.0, 1.0])
    problem = problems.quadratic(matrix)
    earlier = problems.snapshot_of(problem, step=90)
    cold = measure(earlier, "critical_sharpness")
    warm = measure(problems.snapshot_of(problem, earlier=earlier), "critical_sharpness")
    assert warm.beside["forward_passes"] < cold.beside["forward_passes"]
    assert abs(warm.values - cold.values) <= warm.error + cold.error


@pytest.mark.parametrize(
    ("eigenvalues", "start", "words"),
    [
        ([1.0, 1.0], [0.0, 0.0], "zero or not finite"),
        ([-1.0, -2.0], [1.0, 1.0], "does not rise"),
        ([math.nan, 1.0], [1.0, 1.0], "not finite"),
    ],
)
def test_where_there_is_none(eigenvalues: list[float], start: list[float], words: str) -> None:
    problem = problems.quadratic(np.diag(eigenvalues))
    params = {"x": torch.tensor(start, dtype=torch.float64)}
    snapshot = problems.snapshot_of(problem, params)
    found = measure(snapshot, "critical_sharpness")
    assert found.status != Status.ok
    assert np.isnan(found.values)
    assert words in found.skipped[""]


def test_uphill_it_rises_at_once() -> None:
    matrix = problems.symmetric([2.0, 1.0])
    problem = problems.quadratic(matrix)
    now = problems.params_of(problem)
    previous = problems.snapshot_of(problem, {"x": 0.5 * now["x"]}, step=90)
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.1)
    snapshot = problems.snapshot_of(problem, now, previous=previous, optimizer=optimizer)
    found = measure(snapshot, "critical_sharpness", direction="update")
    assert found.status == Status.failed
    assert "at once" in found.skipped[""]


def test_a_fall_within_rounding_is_no_measurement() -> None:
    """In float32 a loss of 1 + 1e-9 cannot be told from 1."""
    problem = problems.quadratic(problems.symmetric([2.0, 1.0]), engine=Engine(torch.float32))
    lifted = replace(problem, loss=lambda outputs, batch: outputs.mean() + 1.0)
    params = {"x": torch.tensor([2e-4, 1e-4])}
    found = measure(problems.snapshot_of(lifted, params), "critical_sharpness")
    assert found.status == Status.failed
    assert found.skipped[""]


@pytest.mark.parametrize(
    ("direction", "words"),
    [("update", "no checkpoint before"), ("adam", "no optimizer state")],
)
def test_missing_inputs(direction: str, words: str) -> None:
    snapshot = problems.snapshot_of(problems.classifier())
    found = measure(snapshot, "critical_sharpness", direction=direction)
    assert found.status == Status.skipped
    assert words in found.skipped[""]


def test_an_update_without_a_learning_rate() -> None:
    problem = problems.classifier()
    before = problems.moved(problems.params_of(problem), 0.01)
    previous = problems.snapshot_of(problem, before, step=90)
    snapshot = problems.snapshot_of(problem, previous=previous)
    found = measure(snapshot, "critical_sharpness", direction="update")
    assert found.status == Status.skipped
    assert "learning rate" in found.skipped[""]


def test_adam_of_another_optimizer() -> None:
    problem = problems.classifier()
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.1)
    snapshot = problems.snapshot_of(problem, optimizer=optimizer)
    found = measure(snapshot, "critical_sharpness", direction="adam")
    assert "not Adam but sgd" in found.skipped[""]
