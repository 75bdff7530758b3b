"""Every trap is refused with a sentence that says what to do, or is no trap."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout
from torch.utils.data import DataLoader, TensorDataset

from dyntools.errors import ProblemError
from dyntools.problem import Engine, Problem
from dyntools.problem.guards import check_products
from tests.problem.networks import (
    CLASSES,
    WIDTH,
    Scaled,
    classification,
    dense,
    matrix_of,
    risk_at,
)
from tests.problems import classifier


class Dropped(nn.Module):
    def __init__(self, *, always: bool) -> None:
        super().__init__()
        self.always = always

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, 0.5, training=self.always or self.training)


class Augmented(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flip(-1) if torch.rand(()) < 0.5 else x


class Cubed(torch.autograd.Function):
    """x³ whose backward forgets that it depends on x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.slope = 3 * x.detach() ** 2
        return x**3

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * ctx.slope


class CubedOnce(Cubed):
    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * ctx.slope


class Asymmetric(torch.autograd.Function):
    """x² whose second derivative is off by a tenth."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient * 2 * (0.1 * x.detach() + 0.9 * x)


class Applied(nn.Module):
    def __init__(self, function: type[torch.autograd.Function]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function.apply(x)


def between(module: nn.Module) -> Problem:
    return classification(Scaled(module), WIDTH)


def with_loss(loss: Any, **settings: Any) -> Problem:
    return replace(classification(Scaled(nn.Tanh()), WIDTH), loss=loss, **settings)


def stopped() -> Problem:
    """A penalty that no gradient sees; both derivatives of the rest are right."""
    problem = classification(Scaled(nn.Tanh()), WIDTH)

    def loss(z: Tensor, batch: Any) -> Tensor:
        return cross_entropy(z, batch[1]) + problem.model.first.bias.detach().square().sum()

    return replace(problem, loss=loss)


def shuffled() -> Problem:
    problem = classifier()
    x, y = (torch.cat(parts) for parts in zip(*problem.batches, strict=True))
    return replace(problem, batches=DataLoader(TensorDataset(x, y), 16, shuffle=True))


REFUSED = {
    "Two evaluations": (
        lambda: between(Dropped(always=True)),
        lambda: between(Augmented()),
    ),
    "Two passes": (shuffled, lambda: replace(classifier(), batches=iter(classifier().batches))),
    "not finite": (lambda: with_loss(lambda z, b: (z - 1e9).sqrt().mean()),),
    "not a mean": (
        lambda: with_loss(lambda z, b: cross_entropy(z, b[1], reduction="sum")),
        lambda: with_loss(lambda z, b: cross_entropy(z, b[1]), weight=lambda b: len(b[1]) ** 2),
        lambda: replace(
            classification(
                nn.Sequential(nn.Linear(WIDTH, CLASSES), nn.BatchNorm1d(CLASSES)), WIDTH
            ),
            mode="train",
            loss=lambda z, b: cross_entropy(z, b[1], reduction="sum"),
        ),
    ),
    "one number": (lambda: with_loss(lambda z, b: cross_entropy(z, b[1], reduction="none")),),
    "are wrong": (
        lambda: between(Applied(Cubed)),
        lambda: between(Applied(CubedOnce)),  # autograd.grad does not reach its error node
        lambda: between(Applied(Asymmetric)),
    ),
    "not the derivative of its loss": (lambda: stopped(),),
    "depend on any parameter": (lambda: with_loss(lambda z, b: z.detach().mean()),),
    "No example of the problem counts": (
        lambda: with_loss(lambda z, b: cross_entropy(z, b[1]), weight=lambda b: 0.0),
    ),
    "no examples": (lambda: replace(classifier(), batches=[]),),
    "holds no tensor": (lambda: replace(classifier(), batches=[np.zeros((3, 6))]),),
}
CASES = [(words, make) for words, made in REFUSED.items() for make in made]


@pytest.mark.parametrize(("words", "make"), CASES)
def test_trap_is_refused_with_a_remedy(words: str, make: Any) -> None:
    with pytest.raises(ProblemError, match=words) as caught:
        risk_at(make()).product(torch.ones(1))
    assert caught.value.remedy


def test_dropout_that_heeds_eval_mode_is_no_trap() -> None:
    problem = between(Dropped(always=False))
    problem.model.train()
    found = matrix_of(risk_at(replace(problem)))
    assert problem.model.training
    problem = between(Dropped(always=False))
    np.testing.assert_allclose(found, dense(problem), atol=1e-8)


def test_a_loader_that_keeps_its_order_gives_what_a_list_gives() -> None:
    """And takes nothing from the global random numbers, which every pass of a loader draws from."""
    listed = classifier()
    x, y = (torch.cat(parts) for parts in zip(*listed.batches, strict=True))
    before = torch.get_rng_state()
    loaded = risk_at(replace(listed, batches=DataLoader(TensorDataset(x, y), 20)))
    found = matrix_of(loaded)
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_allclose(found, matrix_of(risk_at(classifier())), atol=1e-14)


class Upcast(nn.Module):
    """Computes in float32 whatever comes, as the norms of many language models do."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x.float()).to(x.dtype)


def test_a_model_that_rounds_inside_is_not_taken_for_wrong() -> None:
    risk = risk_at(replace(between(Upcast()), engine=Engine()))
    found = check_products(risk)
    assert found.difference < 1e-2
    assert found.rounding < 1e-5


def test_errors_of_right_products_are_far_below_the_limits() -> None:
    found = check_products(risk_at(between(nn.GELU())))
    assert found.asymmetry < 1e-10
    assert found.difference < 1e-7


def test_a_few_evaluations_are_enough() -> None:
    calls = []
    problem = classifier(examples=4000, cut=1000)
    loss = problem.loss

    def counting(outputs: Any, batch: Any) -> Tensor:
        calls.append(len(batch[1]))
        return loss(outputs, batch)

    risk_at(replace(problem, loss=counting))
    whole = sum(count for count in calls if count > 8)
    assert whole <= 2 * 4000 + 1200  # two passes, and what trials of memory take
    assert len(calls) < 30
