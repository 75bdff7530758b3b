"""Products by differences of gradients, where autograd has no second derivative."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import ctc_loss, embedding, log_softmax

from dyntools.errors import ProblemError
from dyntools.measuring import measure
from dyntools.problem import Engine, Problem
from dyntools.problem.differences import Differences
from tests import problems
from tests.problem.networks import CLASSES, WIDTH, classification, matrix_of, risk_at

BY_DIFFERENCES = Engine(dtype=torch.float64, hvp="differences")


def relative(found: Any, truth: Any) -> float:
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


class Bagged(nn.Module):
    """EmbeddingBag by torch, or by a sum that can be differentiated twice."""

    def __init__(self, *, native: bool) -> None:
        super().__init__()
        self.native = native
        self.bag = nn.EmbeddingBag(7, WIDTH)
        self.head = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, CLASSES))

    def forward(self, ids: Tensor) -> Tensor:
        ids = ids.long()  # the dense reference hands over all inputs in float64
        inside = self.bag(ids) if self.native else embedding(ids, self.bag.weight).mean(1)
        return self.head(inside)


def bagged(*, native: bool, engine: Engine = BY_DIFFERENCES) -> Problem:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(7, (10, 3), generator=generator)
    y = torch.randint(CLASSES, (10,), generator=generator)
    base = classification(Bagged(native=native), WIDTH)
    return replace(base, batches=[(ids[:6], y[:6]), (ids[6:], y[6:])], engine=engine)


T = 4
PATHS = torch.cartesian_prod(*[torch.arange(CLASSES)] * T)  # (C^T, T), 0 is the blank


def collapsed(path: list[int]) -> list[int]:
    """What a path spells: repeats merged, blanks dropped (Graves et al. 2006)."""
    merged = [c for i, c in enumerate(path) if i == 0 or c != path[i - 1]]
    return [c for c in merged if c]


def ctc(*, native: bool) -> Problem:
    """Torch's CTC loss, or minus the log of the sum over all paths that spell the target."""
    spells = {
        label: torch.tensor([collapsed(path) == [label] for path in PATHS.tolist()])
        for label in range(1, CLASSES)
    }

    def by_paths(outputs: Tensor, batch: Any) -> Tensor:
        scores = log_softmax(outputs, -1)  # (B, T, C)
        every = scores[:, torch.arange(T), PATHS].sum(-1)  # (B, paths)
        mine = zip(every, batch[1].tolist(), strict=True)
        return torch.stack([-row[spells[label]].logsumexp(0) for row, label in mine]).mean()

    def by_torch(outputs: Tensor, batch: Any) -> Tensor:
        scores = log_softmax(outputs, -1).transpose(0, 1)  # (T, B, C)
        lengths = torch.full((len(outputs),), T)
        return ctc_loss(scores, batch[1][:, None], lengths, torch.ones_like(lengths))

    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, CLASSES))
    base = classification(model, T, WIDTH)
    x, y = next(iter(base.batches))
    loss = by_torch if native else by_paths
    return replace(base, batches=[(x, y.clamp(min=1))], loss=loss, engine=BY_DIFFERENCES)


@pytest.mark.parametrize("make", [bagged, ctc], ids=["EmbeddingBag", "CTC"])
def test_models_without_a_second_derivative(make: Any) -> None:
    """Against the same loss written so that `torch.func` differentiates it twice."""
    native, twin = make(native=True), make(native=False)
    truth = problems.dense(twin)
    assert relative(matrix_of(risk_at(native)), truth) < 1e-8


def test_products_in_float32_are_made_in_float64() -> None:
    truth = problems.dense(bagged(native=False))
    engine = replace(BY_DIFFERENCES, dtype=torch.float32)
    risk = risk_at(bagged(native=True, engine=engine))
    found = risk.product(torch.ones(risk.size))
    assert found.dtype == torch.float32
    assert relative(found.double().numpy(), truth.sum(1)) < 1e-6


def test_a_block_is_cut_out_of_the_whole() -> None:
    problem = bagged(native=True)
    truth = problems.dense(bagged(native=False))
    risk = risk_at(problem)
    part = risk.layout.select(["bag.weight", "head.2.bias"])
    where = np.r_[risk.layout.slices["bag.weight"], risk.layout.slices["head.2.bias"]]
    vector = torch.arange(part.size, dtype=torch.float64)
    found = risk.product(vector, part=part)
    expected = truth[np.ix_(where, where)] @ vector.numpy()
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-8 * np.abs(expected).max())


def test_kinks_of_relu_are_resolved_in_float64() -> None:
    model = nn.Sequential(nn.Linear(WIDTH, 30), nn.ReLU(), nn.Linear(30, CLASSES))
    problem = classification(model, WIDTH)
    truth = problems.dense(problem)
    by_differences = replace(problem, engine=BY_DIFFERENCES)
    assert relative(matrix_of(risk_at(by_differences)), truth) < 1e-6


def sharp(scale: float, theta: Tensor) -> Tensor:
    """Gradient of Σ x_i²/2 + scale · cos(30 x_0): curvature 1, and a sharp, wiggly direction."""
    gradient = theta.clone()
    gradient[0] -= 30 * scale * torch.sin(30 * theta[0])
    return gradient


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_step_suits_the_sharp_direction(dtype: torch.dtype) -> None:
    """Tuned on a random vector the step would be longer than the wiggles it must resolve."""
    theta = torch.full((400,), 1.0, dtype=dtype)
    theta[0] = 0.003
    found = Differences.at(lambda x: sharp(0.05, x), theta)
    first = torch.zeros_like(theta)
    first[0] = 1.0
    curvature = 1 - 900 * 0.05 * np.cos(30 * float(theta[0]))
    tolerance = 1e-7 if dtype == torch.float64 else 2e-3
    assert float(found.product(first)[0]) == pytest.approx(curvature, rel=tolerance)
    assert found.step < 0.02


def test_products_scale_with_the_vector() -> None:
    found = Differences.at(lambda x: sharp(0.05, x), torch.ones(10, dtype=torch.float64))
    vector = torch.arange(10, dtype=torch.float64)
    torch.testing.assert_close(found.product(1e6 * vector), 1e6 * found.product(vector))
    assert float(found.product(0 * vector).abs().max()) == 0.0


def test_at_a_minimum_and_without_curvature() -> None:
    """No gradient to start from, and no curvature to calibrate on."""
    zero = torch.zeros(5, dtype=torch.float64)
    vector = torch.arange(5, dtype=torch.float64)
    torch.testing.assert_close(Differences.at(lambda x: 3 * x, zero).product(vector), 3 * vector)
    flat = Differences.at(torch.ones_like, zero + 1)
    assert float(flat.product(vector).abs().max()) < 1e-9


def test_noise_is_refused() -> None:
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(ProblemError, match="do not settle"):
        Differences.at(lambda x: x + torch.randn(5, generator=generator), torch.ones(5))


@pytest.mark.parametrize("metric", ["gauss_newton_top"])
def test_other_matrices_are_refused(metric: str) -> None:
    found = measure(problems.snapshot_of(bagged(native=True)), metric)
    assert not found.values.size
    assert "Hessian alone" in found.skipped[""]


def test_eigenvalues() -> None:
    truth = problems.eigenvalues(problems.dense(bagged(native=False)))
    found = measure(problems.snapshot_of(bagged(native=True)), "hessian_top", k=3, rtol=1e-6)
    assert (np.abs(found.values[0] - truth[:3]) <= found.error[0] + 1e-7 * truth[0]).all()


def test_examples_are_pooled_however_they_are_cut() -> None:
    whole, other = bagged(native=True), bagged(native=True)
    ids, y = (torch.cat(parts) for parts in zip(*whole.batches, strict=True))
    cut = replace(other, batches=[(ids[i : i + 1], y[i : i + 1]) for i in range(len(ids))])
    one, many = risk_at(whole), risk_at(cut)
    vector = torch.ones(one.size, dtype=torch.float64)
    torch.testing.assert_close(one.product(vector), many.product(vector), rtol=1e-7, atol=1e-9)
