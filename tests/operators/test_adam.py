"""Adam's preconditioner against one worked out by hand from the optimizer's own step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dyntools.checkpoint import OptimizerState
from dyntools.errors import CheckpointError
from dyntools.operators.adam import preconditioned_hessian, preconditioner, unfit
from dyntools.problem import Problem
from tests import problems

Make = Callable[[nn.Module], torch.optim.Optimizer]
OPTIMIZERS: dict[str, Make] = {
    "adam": lambda m: torch.optim.Adam(m.parameters(), lr=1e-2),
    "adamw": lambda m: torch.optim.AdamW(m.parameters(), lr=1e-2, betas=(0.8, 0.95), eps=1e-3),
    "amsgrad": lambda m: torch.optim.Adam(m.parameters(), lr=1e-1, amsgrad=True, betas=(0.9, 0.5)),
    "two groups": lambda m: torch.optim.Adam(
        [
            {"params": [p for p in m.parameters() if p.ndim == 1], "eps": 1e-2},
            {"params": [p for p in m.parameters() if p.ndim > 1], "betas": (0.5, 0.9)},
        ],
        lr=1e-2,
    ),
}


def by_hand(optimizer: torch.optim.Optimizer, params: list[Tensor]) -> Tensor:
    """P written out group by group, flat in the order of `params`."""
    found = {}
    for group in optimizer.param_groups:
        beta1, beta2 = group["betas"]
        for p in group["params"]:
            state = optimizer.state[p]
            t = float(state["step"])
            v = state["max_exp_avg_sq"] if group["amsgrad"] else state["exp_avg_sq"]
            root = np.sqrt(v.numpy()) / np.sqrt(1 - beta2**t) + group["eps"]
            found[id(p)] = torch.from_numpy(root * (1 - beta1**t)).reshape(-1)
    return torch.cat([found[id(p)] for p in params])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_formula_by_hand(name: str) -> None:
    problem = problems.classifier()
    optimizer = OPTIMIZERS[name](problem.model)
    problems.trained(problem, optimizer, 7)
    state = problems.optimizer_state(problem.model, optimizer)
    found = preconditioner(problems.snapshot_of(problem).risk(), state)
    torch.testing.assert_close(found, by_hand(optimizer, list(problem.model.parameters())))


@pytest.mark.parametrize("name", ["adam", "amsgrad", "two groups"])
def test_one_step_of_torch_moves_by_the_first_moment_over_it(name: str) -> None:
    """θ(t) - θ(t-1) = -η m(t) / P(t), with m not corrected for bias: that correction is in P."""
    problem = problems.classifier()
    optimizer = OPTIMIZERS[name](problem.model)
    problems.trained(problem, optimizer, 4)
    before = problems.params_of(problem)
    problems.trained(problem, optimizer, 1)
    after = problems.params_of(problem)
    moments = [optimizer.state[p]["exp_avg"].reshape(-1) for p in problem.model.parameters()]
    change = torch.cat([(after[n] - before[n]).reshape(-1) for n in after])
    state = problems.optimizer_state(problem.model, optimizer)
    found = preconditioner(problems.snapshot_of(problem).risk(), state)
    rate = optimizer.param_groups[0]["lr"]
    torch.testing.assert_close(change, -rate * torch.cat(moments) / found, rtol=1e-9, atol=1e-12)


def test_the_operator_is_the_scaled_hessian() -> None:
    problem = problems.classifier()
    optimizer = OPTIMIZERS["adam"](problem.model)
    problems.trained(problem, optimizer, 7)
    risk = problems.snapshot_of(problem).risk()
    state = problems.optimizer_state(problem.model, optimizer)
    root = preconditioner(risk, state).rsqrt().numpy()
    expected = root[:, None] * problems.dense(problem) * root
    operator = preconditioned_hessian(risk, state)
    found = torch.stack([operator(e) for e in torch.eye(risk.size, dtype=torch.float64)])
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-9)


def stepped(steps: int = 3) -> tuple[Problem, OptimizerState]:
    problem = problems.classifier()
    optimizer = OPTIMIZERS["adam"](problem.model)
    problems.trained(problem, optimizer, steps)
    return problem, problems.optimizer_state(problem.model, optimizer)


def test_a_parameter_without_moments_is_named() -> None:
    problem, state = stepped()
    kept = {name: entries for name, entries in state.state.items() if name != "2.weight"}
    with pytest.raises(CheckpointError, match="no second moment") as caught:
        preconditioner(problems.snapshot_of(problem).risk(), replace(state, state=kept))
    assert caught.value.where == "2.weight"
    assert "2.weight" in str(caught.value.found)


def test_moments_of_another_shape_are_named() -> None:
    problem, state = stepped()
    entry = state.state["2.weight"]["exp_avg_sq"]
    flat = replace(entry, shape=(3000,), read=lambda: torch.ones(3000))
    changed = {**state.state, "2.weight": {**state.state["2.weight"], "exp_avg_sq": flat}}
    with pytest.raises(CheckpointError, match="another shape"):
        preconditioner(problems.snapshot_of(problem).risk(), replace(state, state=changed))


def test_a_zero_of_p_is_refused() -> None:
    """With eps = 0 a weight that never had a gradient has P = 0, and no scaled Hessian."""
    problem, state = stepped()
    entry = state.state["0.bias"]["exp_avg_sq"]
    zero = replace(entry, read=lambda: torch.zeros(entry.shape))
    changed = {**state.state, "0.bias": {**state.state["0.bias"], "exp_avg_sq": zero}}
    groups = tuple({**group, "eps": 0.0} for group in state.groups)
    with pytest.raises(CheckpointError, match="zero or NaN"):
        preconditioner(
            problems.snapshot_of(problem).risk(), replace(state, state=changed, groups=groups)
        )


def test_before_the_first_step_and_for_another_optimizer_the_reason_is_said() -> None:
    problem, state = stepped(0)
    assert "not taken a step" in unfit(state)
    with pytest.raises(CheckpointError, match="not taken a step"):
        preconditioner(problems.snapshot_of(problem).risk(), state)
    assert "sgd" in unfit(replace(state, family="sgd"))
    assert unfit(stepped()[1]) == ""
