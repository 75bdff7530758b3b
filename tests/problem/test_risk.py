"""Products against Hessians known from elsewhere: closed forms, and differences of gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dyntools.problem import Engine, Problem
from tests import problems
from tests.problem.networks import (
    CLASSES,
    GPT,
    LENGTH,
    WIDTH,
    Attention,
    Channels,
    Checkpointed,
    Flat,
    Recurrent,
    Scaled,
    TorchAttention,
    classification,
    dense,
    matrix_of,
    risk_at,
    tokens,
)

SEQUENCE = (LENGTH, WIDTH)
IMAGE = (1, 4, 4)


def sequential(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers, nn.Linear(WIDTH, CLASSES))


RIGHT: dict[str, Callable[[], Problem]] = {
    "MLP": lambda: classification(Scaled(nn.GELU()), WIDTH),
    "ReLU": lambda: classification(Scaled(nn.ReLU()), WIDTH),
    "SiLU": lambda: classification(Scaled(nn.SiLU()), WIDTH),
    "LayerNorm": lambda: classification(Scaled(nn.LayerNorm(WIDTH)), WIDTH),
    "RMSNorm": lambda: classification(Scaled(nn.RMSNorm(WIDTH)), WIDTH),
    "GroupNorm": lambda: classification(Channels(nn.GroupNorm(2, WIDTH)), *IMAGE),
    "InstanceNorm": lambda: classification(Channels(nn.InstanceNorm2d(WIDTH, affine=True)), *IMAGE),
    "BatchNorm": lambda: classification(Channels(nn.BatchNorm2d(WIDTH)), *IMAGE),
    "LSTM": lambda: classification(Recurrent(nn.LSTM), LENGTH, 2),
    "GRU": lambda: classification(Recurrent(nn.GRU), LENGTH, 2),
    "attention": lambda: classification(sequential(Attention(), Flat()), *SEQUENCE),
    "MultiheadAttention": lambda: classification(sequential(TorchAttention(), Flat()), *SEQUENCE),
    "TransformerEncoderLayer": lambda: classification(
        sequential(
            nn.TransformerEncoderLayer(WIDTH, 2, 3, batch_first=True, activation="gelu"), Flat()
        ),
        *SEQUENCE,
    ),
    "GPT": lambda: tokens(GPT()),
    "tied": lambda: tokens(GPT(tied=True)),
    "unused": lambda: classification(Scaled(nn.Tanh(), unused=True), WIDTH),
    "max pooling": lambda: classification(
        nn.Sequential(nn.Conv2d(1, 2, 2), nn.MaxPool2d(3), nn.Flatten(), nn.Linear(2, CLASSES)),
        *IMAGE,
    ),
    "checkpoint": lambda: classification(Checkpointed(reentrant=False), WIDTH),
    "penalty": lambda: penalised(classification(Scaled(nn.Tanh()), WIDTH)),
}


def penalised(problem: Problem) -> Problem:
    """With weight decay that the loss computes from the model's own parameters."""

    def loss(outputs: Tensor, batch: object) -> Tensor:
        size = sum(p.square().sum() for p in problem.model.parameters())
        return problem.loss(outputs, batch) + 0.05 * size

    return replace(problem, loss=loss)


@pytest.mark.parametrize("name", RIGHT)
def test_product_is_the_derivative_of_the_gradient(name: str) -> None:
    problem = RIGHT[name]()
    truth = dense(problem)
    found = matrix_of(risk_at(problem))
    assert np.abs(truth).max() > 1e-2
    np.testing.assert_allclose(found, truth, atol=2e-8 * np.abs(truth).max())


@pytest.mark.parametrize("inside", [False, True])
def test_compiled_modules_run_as_they_were_written(inside: bool) -> None:
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), Scaled(nn.LayerNorm(WIDTH)))
    problem = classification(model, WIDTH)
    truth = dense(problem)
    if inside:
        model[1] = torch.compile(model[1], backend="aot_eager")
    else:
        problem = replace(problem, model=torch.compile(model, backend="aot_eager"))
    found = matrix_of(risk_at(problem))
    np.testing.assert_allclose(found, truth, atol=2e-8 * np.abs(truth).max())


def test_batch_statistics_in_train_mode_are_differentiated_through() -> None:
    problem = classification(Channels(nn.BatchNorm2d(WIDTH)), *IMAGE, mode="train")
    running = problem.model.norm.running_mean.clone()
    problem.model.train()
    truth = dense(problem)
    problem.model.norm.running_mean.copy_(running)
    found = matrix_of(risk_at(problem))
    np.testing.assert_allclose(found, truth, atol=2e-8 * np.abs(truth).max())
    assert torch.equal(problem.model.norm.running_mean, running)
    assert np.abs(truth - dense(replace(problem, model=problem.model.eval()))).max() > 1e-2


def test_batch_normalisation_without_running_statistics_is_never_cut() -> None:
    """In eval mode too it looks at the batch, so pieces of it would be other functions."""
    norm = nn.BatchNorm2d(WIDTH, track_running_stats=False)
    problem = classification(Channels(norm), *IMAGE, engine=Engine(torch.float64, memory=10**9))
    truth = dense(problem)
    risk = risk_at(problem)
    np.testing.assert_allclose(matrix_of(risk), truth, atol=2e-8 * np.abs(truth).max())
    assert [p.stop - p.start for p in risk.pieces.mine] == [6]


@pytest.mark.parametrize(
    "made", [problems.linear_regression, problems.logistic_regression, problems.softmax_regression]
)
def test_closed_forms(made: Callable[[], tuple[Problem, problems.Array]]) -> None:
    problem, hessian = made()
    risk = risk_at(problem)
    for kind in ("hessian", "gauss_newton"):
        np.testing.assert_allclose(matrix_of(risk, kind), hessian, atol=1e-12)


def test_frozen_parameters_are_constants() -> None:
    problem = classification(Scaled(nn.Tanh()), WIDTH)
    problem.model.first.weight.requires_grad_(False)
    truth = dense(problem)
    risk = risk_at(problem)
    assert risk.layout.names == ("first.bias", "last.weight", "last.bias")
    np.testing.assert_allclose(matrix_of(risk), truth, atol=2e-8 * np.abs(truth).max())
    assert not problem.model.first.weight.requires_grad


def test_a_block_is_that_of_the_whole() -> None:
    problem = classification(Scaled(nn.Tanh()), WIDTH)
    whole = matrix_of(risk := risk_at(problem))
    part = risk.layout.select(["last.weight", "first.bias"])
    assert part.names == ("first.bias", "last.weight")
    at = np.r_[risk.layout.slices["first.bias"], risk.layout.slices["last.weight"]]
    eye = torch.eye(part.size, dtype=torch.float64)
    block = np.stack([risk.product(e, part=part).numpy() for e in eye], 1)
    np.testing.assert_allclose(block, whole[np.ix_(at, at)], atol=1e-13)


def test_a_loss_linear_in_a_parameter_has_zeros_there() -> None:
    problem = classification(Scaled(nn.Tanh()), WIDTH)
    problem = replace(problem, loss=lambda z, batch: z[:, 0].mean())
    truth = dense(problem)
    found = matrix_of(risk := risk_at(problem))
    np.testing.assert_allclose(found, truth, atol=2e-8 * np.abs(truth).max())
    assert not found[risk.layout.slices["last.bias"]].any()


@pytest.mark.parametrize("tied", [False, True])
def test_gauss_newton_is_that_of_a_dense_jacobian(tied: bool) -> None:
    problem = tokens(GPT(tied=tied))
    jacobian, p = jacobian_of(problem)
    n, c = p.shape
    middle = np.zeros((n, c, n, c))
    for i in range(n):
        middle[i, :, i] = (np.diag(p[i]) - np.outer(p[i], p[i])) / n
    truth = jacobian.T @ middle.reshape(n * c, n * c) @ jacobian
    found = matrix_of(risk_at(problem), "gauss_newton")
    np.testing.assert_allclose(found, truth, atol=1e-8 * np.abs(truth).max())


def jacobian_of(problem: Problem) -> tuple[problems.Array, problems.Array]:
    """∂z/∂θ by central differences, (terms · classes, n), and the probabilities."""
    [batch] = problem.batches
    vector = torch.nn.utils.parameters_to_vector(problem.model.parameters()).detach()

    def outputs(at: Tensor) -> Tensor:
        torch.nn.utils.vector_to_parameters(at, problem.model.parameters())
        with torch.no_grad():
            return problem.outputs(problem.model, batch).flatten()

    columns = []
    for i in range(len(vector)):
        e = torch.zeros_like(vector)
        e[i] = 1e-3
        near = outputs(vector + e) - outputs(vector - e)
        far = outputs(vector + 2 * e) - outputs(vector - 2 * e)
        columns.append((8 * near - far) / 12e-3)
    p = outputs(vector).unflatten(0, (-1, CLASSES)).softmax(-1)
    return torch.stack(columns, 1).numpy(), p.numpy()
