"""Nothing of the user's is touched, whatever happens inside."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dyntools.problem import Engine, Problem
from dyntools.problem.guards import check_products
from tests.problem.networks import CLASSES, classification, risk_at


def network() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 2), nn.BatchNorm2d(4), nn.GELU(), nn.Dropout(0.3), nn.Flatten()),
        *(nn.Linear(36, 36), nn.Linear(36, CLASSES)),
    )


def problem(mode: Any) -> Problem:
    found = classification(network(), 1, 4, 4, mode=mode)
    found.model.train()
    found.model[3].eval()
    found.model[5].requires_grad_(False)
    found.model[0].weight.grad = torch.ones_like(found.model[0].weight)
    return found


def state_of(model: nn.Module) -> dict[str, object]:
    """All that a training run would notice."""
    tensors = {n: (t.data_ptr(), t._version, t.clone()) for n, t in model.state_dict().items()}
    return {
        "tensors": {n: (a, v, t.tolist()) for n, (a, v, t) in tensors.items()},
        "training": [m.training for m in model.modules()],
        "gradients": [None if p.grad is None else p.grad.tolist() for p in model.parameters()],
        "trainable": [p.requires_grad for p in model.parameters()],
        "random": torch.get_rng_state().tolist(),
        "tf32": (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32),
        "precision": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "attention": (
            torch.backends.cuda.flash_sdp_enabled(),
            torch.backends.cuda.mem_efficient_sdp_enabled(),
            torch.backends.mha.get_fastpath_enabled(),
        ),
        "autocast": torch.is_autocast_enabled("cpu"),
        "gradient mode": torch.is_grad_enabled(),
        "dtype": torch.get_default_dtype(),
    }


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_everything_is_as_before(mode: Any, dtype: torch.dtype) -> None:
    given = replace(problem(mode), engine=Engine(dtype=dtype))
    risk = risk_at(given)  # which itself changes the weights
    before = state_of(given.model)
    ones = torch.ones(risk.size, dtype=dtype)
    with torch.no_grad(), torch.autocast("cpu"):
        for kind in ("hessian", "gauss_newton", "fisher"):
            risk.product(ones, kind)
        risk.loss(), risk.gradient(), check_products(risk)
        risk.gradient(risk.theta + 1)
    assert state_of(given.model) == before


class Angry(RuntimeError):
    pass


def test_also_when_an_exception_flies() -> None:
    given = problem("train")
    loss = given.loss

    def failing(outputs: Any, batch: Any) -> Tensor:
        torch.rand(3)
        if given.model.angry:
            raise Angry
        return loss(outputs, batch)

    given.model.angry = False
    risk = risk_at(replace(given, loss=failing))
    risk.release()
    before = state_of(given.model)
    given.model.angry = True
    for work in (risk.loss, risk.gradient, lambda: risk.product(risk.theta)):
        with pytest.raises(Angry):
            work()
    assert state_of(given.model) == before


def test_products_do_not_inherit_autocast_or_no_grad() -> None:
    plain, other = risk_at(problem("eval")), risk_at(problem("eval"))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        found = other.product(other.theta)
    assert torch.equal(found, plain.product(plain.theta))
