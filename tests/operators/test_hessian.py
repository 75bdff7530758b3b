"""The matrices of a risk against closed forms and against one another."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call, jacrev

from dyntools.linalg.operator import Operator
from dyntools.operators.hessian import empirical_fisher, fisher, gauss_newton, hessian
from dyntools.problem import Problem
from tests import problems
from tests.problems import Array, symmetric


def dense(operator: Operator) -> Array:
    return np.stack([operator(e).numpy() for e in torch.eye(operator.size, dtype=torch.float64)])


CLOSED = {
    "quadratic": lambda: (lambda a: (problems.quadratic(a), a))(symmetric([4.0, 4.0, 1.0, -3.0])),
    "linear": problems.linear_regression,
    "logistic": problems.logistic_regression,
    "softmax": problems.softmax_regression,
}


@pytest.mark.parametrize("name", CLOSED)
def test_the_hessian_of_problems_solved_on_paper(name: str) -> None:
    problem, expected = CLOSED[name]()
    found = dense(hessian(problems.snapshot_of(problem).risk()))
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("name", ["linear", "logistic", "softmax"])
def test_of_a_linear_model_the_gauss_newton_matrix_is_the_hessian(name: str) -> None:
    problem, expected = CLOSED[name]()
    found = dense(gauss_newton(problems.snapshot_of(problem).risk()))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_hessian_of_a_network() -> None:
    problem = problems.classifier()
    found = dense(hessian(problems.snapshot_of(problem).risk()))
    np.testing.assert_allclose(found, problems.dense(problem), atol=1e-12)


def test_a_block_is_the_diagonal_block() -> None:
    problem = problems.classifier()
    risk = problems.snapshot_of(problem).risk()
    part = risk.layout.select(["2.weight", "0.bias"])
    index = np.concatenate([np.arange(risk.size)[risk.layout.slices[n]] for n in part.names])
    found = dense(hessian(risk, part))
    np.testing.assert_allclose(found, problems.dense(problem)[np.ix_(index, index)], atol=1e-12)


def outputs_and_targets(problem: Problem) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (N, C), their Jacobian (N, C, n), and the labels (N,)."""
    params = {name: p.detach() for name, p in problem.model.named_parameters()}
    x = torch.cat([batch[0] for batch in problem.batches])
    y = torch.cat([batch[1] for batch in problem.batches])

    def of(values: dict[str, Tensor]) -> Tensor:
        return functional_call(problem.model, values, (x,))

    jacobian = jacrev(of)(params)
    flat = torch.cat([j.flatten(2) for j in jacobian.values()], dim=2)
    return of(params).detach(), flat.detach(), y


def test_gauss_newton_and_fisher_of_a_classifier() -> None:
    """G = mean Jᵀ (diag p - p pᵀ) J; F̂ = mean g gᵀ; sampled labels have G as their mean."""
    problem = problems.classifier(examples=40, features=3, hidden=2, classes=3)
    z, jacobian, y = outputs_and_targets(problem)
    p = z.softmax(-1)
    middle = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    g = torch.einsum("nci,ncd,ndj->ij", jacobian, middle, jacobian) / len(z)
    scores = torch.einsum("nc,nci->ni", p - torch.nn.functional.one_hot(y, 3), jacobian)
    risk = problems.snapshot_of(problem).risk()
    np.testing.assert_allclose(dense(gauss_newton(risk)), g.numpy(), atol=1e-12)
    found = dense(empirical_fisher(risk))
    np.testing.assert_allclose(found, (scores.T @ scores / len(z)).numpy(), atol=1e-12)
    draws = np.mean([dense(fisher(risk, seed=seed)) for seed in range(100)], axis=0)
    assert np.linalg.norm(draws - g.numpy()) < 0.1 * np.linalg.norm(g.numpy())
