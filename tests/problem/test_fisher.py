"""Fisher matrices against their definitions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from dyntools.errors import ProblemError
from dyntools.problem import examples
from tests.problem.networks import (
    WIDTH,
    Scaled,
    classification,
    matrix_of,
    risk_at,
)
from tests.problem.test_guards import Applied
from tests.problem.test_invariance import padded
from tests.problems import classifier


def test_empirical_fisher_is_the_sum_of_outer_products_of_gradients() -> None:
    problem = classifier(20, cut=8)
    rows = []
    for x, y in problem.batches:
        for a, b in zip(x, y, strict=True):
            loss = cross_entropy(problem.model(a[None]), b[None])
            grads = torch.autograd.grad(loss, list(problem.model.parameters()))
            rows.append(torch.cat([g.reshape(-1) for g in grads]).numpy())
    truth = np.array(rows).T @ np.array(rows) / 20
    found = matrix_of(risk_at(problem), "empirical_fisher")
    np.testing.assert_allclose(found, truth, atol=1e-13)


def test_all_examples_at_once_and_one_by_one_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where some count more than others, and one does not count."""
    fast = matrix_of(risk_at(padded(5)), "empirical_fisher")
    monkeypatch.setattr(examples, "_together", lambda *_: None)
    slow = matrix_of(risk_at(padded(5)), "empirical_fisher")
    np.testing.assert_allclose(fast, slow, atol=1e-12)
    assert np.abs(slow).max() > 1e-2


class Square(torch.autograd.Function):
    """Without a rule for vmap."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0] * gradient


class Own(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x**2


def test_what_vmap_does_not_know_goes_one_by_one() -> None:
    plain = classification(Scaled(Own()), WIDTH)
    custom = classification(Scaled(Applied(Square)), WIDTH)
    truth = matrix_of(risk_at(plain), "empirical_fisher")
    np.testing.assert_allclose(matrix_of(risk_at(custom), "empirical_fisher"), truth, atol=1e-13)


def test_sampled_fisher_has_the_gauss_newton_matrix_as_its_mean() -> None:
    problem = classifier(40, features=3, hidden=2, classes=3, cut=40)
    risk = risk_at(problem)
    truth = matrix_of(risk, "gauss_newton")
    draws = np.array([matrix_of(risk, "fisher", seed) for seed in range(100)])
    error = draws.std(0) / 100**0.5
    assert (np.abs(draws.mean(0) - truth) < 5 * error + 1e-9).all()
    assert np.linalg.norm(draws[0] - draws[1]) > 0.05 * np.linalg.norm(truth)
    np.testing.assert_array_equal(matrix_of(risk, "fisher", 7), draws[7])


def test_labels_cannot_be_sampled_for_other_losses() -> None:
    problem = classification(Scaled(nn.Tanh()), WIDTH)
    risk = risk_at(replace(problem, loss=lambda z, b: mse_loss(z, torch.zeros_like(z))))
    with pytest.raises(ProblemError, match="softmax") as caught:
        risk.product(risk.theta, "fisher")
    assert "gauss_newton" in str(caught.value.remedy)


def test_a_model_that_returns_its_loss_has_no_gauss_newton_matrix() -> None:
    """It would be zero, as the loss is linear in it."""
    problem = classification(Scaled(nn.Tanh()), WIDTH)
    given = replace(
        problem,
        forward=lambda model, b: cross_entropy(model(b[0]), b[1]),
        loss=lambda outputs, b: outputs,
    )
    risk = risk_at(given)
    with pytest.raises(ProblemError, match="linear in the outputs"):
        risk.product(risk.theta, "gauss_newton")


def test_an_output_on_the_way_to_another_counts_once() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 3)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            hidden = torch.tanh(self.first(x))
            return self.last(hidden), hidden

    both = replace(
        classification(Both(), WIDTH), loss=lambda z, batch: cross_entropy(z[0], batch[1])
    )
    one = classification(Both(), WIDTH)
    one = replace(one, forward=lambda model, batch: model(batch[0])[0])
    truth = matrix_of(risk_at(one), "gauss_newton")
    np.testing.assert_allclose(matrix_of(risk_at(both), "gauss_newton"), truth, atol=1e-13)


def test_under_batch_statistics_no_example_stands_alone() -> None:
    model = nn.Sequential(nn.Linear(WIDTH, 3), nn.BatchNorm1d(3))
    risk = risk_at(classification(model, WIDTH, mode="train"))
    with pytest.raises(ProblemError, match="no example has a loss of its own"):
        risk.product(risk.theta, "empirical_fisher")
