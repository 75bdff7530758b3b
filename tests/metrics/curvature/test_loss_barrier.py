"""loss_barrier on polynomials along a line, and between networks with and without a barrier."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dyntools.measurement import Measurement, Status
from dyntools.measuring import measure
from dyntools.metrics.curvature.loss_barrier import barrier
from dyntools.problem import Problem
from tests import problems


class Scalar(nn.Module):
    def __init__(self, start: float) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.tensor([start], dtype=torch.float64))

    def forward(self, ones: Tensor) -> Tensor:
        x = self.x
        return ones * (x**2 - 1) ** 2 + 0.1 * x  # a double well, minima near ±1


def wells() -> Problem:
    ones = torch.ones(3, dtype=torch.float64)
    return Problem(Scalar(1.0), [ones], lambda z, b: z.mean(), engine=problems.EXACT)


def between(problem: Problem, there: float, here: float, **settings: object) -> Measurement:
    def at(value: float) -> dict[str, Tensor]:
        return {"x": torch.tensor([value], dtype=torch.float64)}

    previous = problems.snapshot_of(problem, at(there), step=90)
    snapshot = problems.snapshot_of(problem, at(here), previous=previous)
    return measure(snapshot, "loss_barrier", **settings)


def test_the_double_well() -> None:
    """L = (x²-1)² + x/10 from -1 to 1: above the line between the ends by (x²-1)², 1 at x = 0."""
    found = between(wells(), -1.0, 1.0)
    assert found.values == pytest.approx(1.0, abs=1e-12)
    assert found.beside["position"] == 0.5
    assert found.beside["loss_other"] == pytest.approx(-0.1)
    assert found.beside["loss_here"] == pytest.approx(0.1)
    assert found.beside["loss_of_average"] == pytest.approx(1.0)


def test_what_the_grid_misses_is_in_the_error() -> None:
    """From -1 to 1.5 the top lies between two of the points."""

    def excess(x: np.ndarray) -> np.ndarray:
        return (x**2 - 1) ** 2 - (x + 1) / 2.5 * 1.25**2

    truth = excess(np.linspace(-1, 1.5, 100001)).max()
    for points in (5, 8, 21):
        found = between(wells(), -1.0, 1.5, points=points)
        assert found.values <= truth + 1e-12
        assert truth - found.values <= found.error
    assert found.error < 0.01


def test_none_where_the_loss_is_convex() -> None:
    matrix = problems.symmetric([3.0, 1.0, 0.0])
    problem = problems.quadratic(matrix)
    before = problems.moved(problems.params_of(problem), 1.0)
    previous = problems.snapshot_of(problem, before, step=90)
    found = measure(problems.snapshot_of(problem, previous=previous), "loss_barrier")
    assert found.values == 0.0
    assert found.status == Status.ok


def test_to_the_start() -> None:
    problem = wells()
    initial = problems.snapshot_of(problem, {"x": torch.tensor([-1.0]).double()}, step=0)
    snapshot = problems.snapshot_of(problem, initial=initial)
    found = measure(snapshot, "loss_barrier", to="initial")
    assert found.values == pytest.approx(1.0)
    assert "step 0" in found.method
    assert measure(snapshot, "loss_barrier").status == Status.skipped


def test_permuted_units_are_the_same_network_behind_a_barrier() -> None:
    """Swapping hidden units leaves the function as it is (Entezari et al. 2022, arXiv:2110.06296).

    Both ends have the same loss, and the average of the two is another network.
    """
    problem = problems.classifier(hidden=8)
    problems.trained(problem, torch.optim.Adam(problem.model.parameters(), lr=0.05), 60)
    now = problems.params_of(problem)
    order = torch.arange(7, -1, -1)
    swapped = {
        "0.weight": now["0.weight"][order],
        "0.bias": now["0.bias"][order],
        "2.weight": now["2.weight"][:, order],
        "2.bias": now["2.bias"],
    }
    previous = problems.snapshot_of(problem, swapped, step=90)
    found = measure(problems.snapshot_of(problem, now, previous=previous), "loss_barrier")
    np.testing.assert_allclose(found.beside["loss_other"], found.beside["loss_here"], rtol=1e-9)
    assert found.values > 0.3
    assert found.beside["position"] == pytest.approx(0.5, abs=0.15)


def test_the_function_on_numbers() -> None:
    positions = np.linspace(0, 1, 5)
    found = barrier(positions, np.array([1.0, 2.0, 4.0, 2.0, 3.0]))
    assert found.height == pytest.approx(4.0 - 2.0)
    assert found.position == 0.5
    tilted = barrier(positions, 1.0 - positions)
    assert tilted.height == 0.0
    assert tilted.missed == 0.0
    parabola = barrier(np.array([0.0, 0.4, 1.0]), np.array([0.0, 0.24, 0.0]))  # x(1-x)
    assert parabola.missed == pytest.approx(0.6**2 / 8 * 2)


def test_what_cannot_be_measured_says_why() -> None:
    problem = wells()
    found = measure(problems.snapshot_of(problem), "loss_barrier")
    assert found.status == Status.skipped
    assert "no checkpoint before" in found.skipped[""]
    other = problems.snapshot_of(problem, {"x": torch.zeros(4)}, step=3)
    found = measure(problems.snapshot_of(problem, previous=other), "loss_barrier")
    assert "another shape of x" in found.skipped[""]
    found = between(wells(), np.inf, 1.0)
    assert found.status == Status.failed
    assert np.isnan(found.values)
    assert "not finite" in found.skipped[""]


def test_running_statistics_are_those_of_this_checkpoint() -> None:
    """The other end is evaluated with them too, so its loss there is not its own."""
    model = nn.Sequential(nn.Linear(4, 3, dtype=torch.float64), nn.BatchNorm1d(3).double())
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    problem = Problem(model, [x], lambda z, b: z.square().mean(), engine=problems.EXACT)
    params = problems.params_of(problem)
    shifted = {**params, "0.bias": params["0.bias"] + 1.0}

    def buffers(mean: float) -> dict[str, Tensor]:
        return {"1.running_mean": torch.full((3,), mean), "1.running_var": torch.ones(3)}

    from dyntools.snapshot import Tensors

    previous = replace(
        problems.snapshot_of(problem, shifted, step=90), buffers=Tensors.of(buffers(1.0))
    )
    snapshot = problems.snapshot_of(problem, params, previous=previous)
    snapshot = replace(snapshot, buffers=Tensors.of(buffers(0.0)))
    found = measure(snapshot, "loss_barrier")
    assert previous.risk().loss() == pytest.approx(float(found.beside["loss_here"]), rel=1e-4)
    assert found.beside["loss_other"] > 1.2 * found.beside["loss_here"]
