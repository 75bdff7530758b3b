"""The thresholds against torch's own optimizers on a parabola, just below and just above."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dyntools.checkpoint import OptimizerState
from dyntools.operators import stability
from tests.problems import optimizer_state

ETA = 0.02
OPTIMIZERS: dict[str, Callable[[list[Tensor]], torch.optim.Optimizer]] = {
    "gradient descent": lambda p: torch.optim.SGD(p, lr=ETA),
    "dampening without momentum": lambda p: torch.optim.SGD(p, lr=ETA, dampening=0.5),
    "heavy ball": lambda p: torch.optim.SGD(p, lr=ETA, momentum=0.9),
    "small momentum": lambda p: torch.optim.SGD(p, lr=ETA, momentum=0.3),
    "dampening": lambda p: torch.optim.SGD(p, lr=ETA, momentum=0.8, dampening=0.6),
    "nesterov": lambda p: torch.optim.SGD(p, lr=ETA, momentum=0.9, nesterov=True),
}


class Point(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.x = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))


def growth(make: Callable[[list[Tensor]], torch.optim.Optimizer], curvature: float) -> float:
    """|x| late over |x| early on ½ a x², by the largest in each of two windows."""
    point = Point()
    optimizer = make([point.x])
    sizes = []
    for _ in range(4000):
        point.x.grad = curvature * point.x.detach().clone()
        optimizer.step()
        sizes.append(abs(point.x.item()))
    return max(sizes[-500:]) / max(sizes[500:1000])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_torch_diverges_just_above_the_threshold_and_not_below(name: str) -> None:
    point = Point()
    edge = stability.threshold(optimizer_state(point, OPTIMIZERS[name]([point.x])))
    assert growth(OPTIMIZERS[name], 0.995 * edge) < 1.0
    assert growth(OPTIMIZERS[name], 1.005 * edge) > 1.0


@pytest.mark.parametrize("beta1", [0.0, 0.5, 0.9])
def test_adam_with_a_settled_preconditioner_diverges_just_above(beta1: float) -> None:
    """With P held at 1 (β2 so close to 1 that v stays) Adam is heavy ball with dampening β1."""
    state = OptimizerState("adam", ({"lr": ETA, "betas": (beta1, 0.999)},), {}, "")
    edge = stability.threshold(state)
    assert edge == pytest.approx((2 + 2 * beta1) / ((1 - beta1) * ETA))

    def make(params: list[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.Adam(params, lr=ETA, betas=(beta1, 1 - 1e-15), eps=1.0)

    def adam_growth(curvature: float) -> float:
        point = Point()
        with torch.no_grad():
            point.x.mul_(1e-200)  # so small that v is zero and P is eps = 1
        optimizer = make([point.x])
        for _ in range(400):  # until 1 - β1^t, the correction of the first moment, is 1
            point.x.grad = torch.zeros(1, dtype=torch.float64)
            optimizer.step()
        sizes = []
        with torch.no_grad():
            point.x.fill_(1e-200)
        for _ in range(3000):
            point.x.grad = curvature * point.x.detach().clone()
            optimizer.step()
            sizes.append(abs(point.x.item()))
        return max(sizes[-500:]) / max(sizes[300:800])

    assert adam_growth(0.99 * edge) < 1.0
    assert adam_growth(1.01 * edge) > 1.0


def test_of_several_groups_the_smallest_threshold_and_the_largest_rate() -> None:
    groups = ({"lr": 0.1, "momentum": 0.0}, {"lr": 0.4, "momentum": 0.9}, {"lr": 0.0})
    state = OptimizerState("sgd", groups, {}, "")
    assert stability.learning_rate(state) == 0.4
    assert stability.threshold(state) == pytest.approx(2 * 1.9 / 0.4)


@pytest.mark.parametrize(
    ("family", "group"),
    [("lion", {"lr": 0.1}), ("sgd", {"lr": 0.0}), ("sgd", {}), ("adafactor", {"lr": None})],
)
def test_what_has_no_known_threshold_has_none(family: str, group: dict[str, object]) -> None:
    assert math.isnan(stability.threshold(OptimizerState(family, (group,), {}, "")))


def test_without_a_rate_there_is_none() -> None:
    assert math.isnan(stability.learning_rate(OptimizerState("sgd", ({"lr": None},), {}, "")))
    assert math.isnan(stability.learning_rate(OptimizerState("sgd", (), {}, "")))
