"""The same matrix however the examples are cut, ordered, held or packed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from dyntools.problem import Engine, Problem
from dyntools.problem import probe as probes
from dyntools.problem.graphs import Kind
from tests.problem.networks import (
    CLASSES,
    EXACT,
    GPT,
    WIDTH,
    classification,
    dense,
    matrix_of,
    risk_at,
    scattered,
    tokens,
)
from tests.problems import classifier

KINDS: tuple[Kind, ...] = ("hessian", "gauss_newton", "fisher", "empirical_fisher")


def whole_of(problem: Problem) -> tuple[Tensor, Tensor]:
    x, y = (torch.cat(parts) for parts in zip(*problem.batches, strict=True))
    return x, y


def vector(size: int) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def product(problem: Problem, kind: Kind = "hessian") -> Tensor:
    risk = risk_at(problem)
    return risk.product(vector(risk.size).to(risk.dtype), kind, seed=5).double()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", [1, 7, 300, 2000])
def test_cut_into_batches(kind: Kind, cut: int) -> None:
    examples = 60 if cut < 300 else 2000
    base = classifier(examples, cut=examples)
    ragged = classifier(examples, cut=cut)
    assert torch.allclose(product(ragged, kind), product(base, kind), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_under_a_small_memory_limit(kind: Kind) -> None:
    free = risk_at(classifier(400, hidden=20, cut=170))
    whole = free.product(vector(free.size), kind)
    assert len(free.pieces.mine) == 3
    tight = replace(classifier(400, hidden=20, cut=170), engine=replace(EXACT, memory=200_000))
    risk = risk_at(tight)
    found = risk.product(vector(risk.size), kind)
    assert len(risk.pieces.mine) > 6
    assert risk.pieces.rebuilt
    assert torch.allclose(found, whole, rtol=1e-10, atol=1e-13)
    assert risk.loss() == pytest.approx(free.loss(), rel=1e-13)
    assert torch.allclose(risk.gradient(), free.gradient(), rtol=1e-11, atol=1e-14)


def test_order_of_batches() -> None:
    problem = classifier(60, cut=25)
    turned = replace(classifier(60, cut=25), batches=problem.batches[::-1])
    assert torch.allclose(product(turned), product(problem), rtol=1e-12)


def test_single_precision() -> None:
    single = product(replace(classifier(), engine=Engine()))
    double = product(classifier())
    assert (single - double).norm() < 1e-6 * double.norm()


@pytest.mark.parametrize("held", [True, False])
def test_streamed_loader_and_list(held: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not held:
        monkeypatch.setattr(probes, "free_memory", lambda device: 0)
    x, y = whole_of(classifier())
    loader = DataLoader(TensorDataset(x, y), batch_size=13)
    streamed = risk_at(replace(classifier(), batches=loader))
    assert (streamed.probe.held is not None) == held
    found = streamed.product(vector(streamed.size))
    assert torch.allclose(found, product(classifier()), rtol=1e-12)
    some = np.array([0, 3, 14, 15, 40])
    part = streamed.part(some).part(np.array([1, 2, 4]))
    index = torch.from_numpy(some[[1, 2, 4]])
    listed = replace(classifier(), batches=[(x[index], y[index])])
    assert part.probe.examples == 3
    assert torch.allclose(part.product(vector(part.size)), product(listed), rtol=1e-12)


def test_tensors_tuples_and_dictionaries() -> None:
    x, y = whole_of(classifier())
    truth = product(classifier())
    loss = lambda z, batch: cross_entropy(z, batch["y"])  # noqa: E731
    packed = [
        replace(classifier(), batches=[[x, y]]),
        replace(classifier(), batches=[{"input": x, "y": y, "name": "a"}], loss=loss),
        replace(
            classifier(),
            batches=[torch.cat([x, y[:, None].double()], 1)],
            forward=lambda model, batch: model(batch[:, :-1]),
            loss=lambda z, batch: cross_entropy(z, batch[:, -1].long()),
        ),
    ]
    for problem in packed:
        assert torch.allclose(product(problem), truth, rtol=1e-12)


class Masked(nn.Module):
    """Attention with a mask (T, T) that all examples share."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        weights = (self.score(x) @ x.mT).masked_fill(~mask, -torch.inf).softmax(-1)
        return self.head((weights @ x).mean(1))


def test_a_shared_tensor_is_not_cut() -> None:
    base = classification(Masked(), 5, WIDTH)
    [(x, y)] = base.batches
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    problem = replace(
        base,
        batches=[{"x": x, "mask": mask, "y": y}],
        loss=lambda z, batch: cross_entropy(z, batch["y"]),
    )
    truth = dense(problem)
    found = matrix_of(risk_at(problem))
    np.testing.assert_allclose(found, truth, atol=2e-8 * np.abs(truth).max())


class Causal(nn.Module):
    """Called as language models of Hugging Face are, with outputs like theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.gpt = GPT()

    def forward(self, input_ids: Tensor, labels: Tensor | None = None) -> Any:
        logits = self.gpt(input_ids)
        if labels is None:
            return SimpleNamespace(logits=logits)
        shifted = cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return SimpleNamespace(loss=shifted, logits=logits)


def padded(cut: int) -> Problem:
    [(ids, labels)] = tokens(GPT()).batches
    labels = labels.clone()
    labels[0, 3:], labels[2, 1:], labels[5, 2:] = -100, -100, -100  # one example without any
    ids, labels = ids.repeat(2, 1), torch.cat([labels, labels.roll(1, 0)])
    batches = [
        {"input_ids": a, "labels": b}
        for a, b in zip(ids.split(cut), labels.split(cut), strict=True)
    ]
    return Problem(scattered(Causal()), batches, lambda out, batch: out.loss, engine=EXACT)


@pytest.mark.parametrize("cut", [1, 4, 5, 12])
def test_padded_labels_count_tokens(cut: int) -> None:
    """The mean over counted tokens of all batches, one of which may have none."""
    truth = dense(padded(12))
    risk = risk_at(padded(cut))
    found = risk.product(vector(risk.size))
    np.testing.assert_allclose(found, truth @ vector(risk.size).numpy(), atol=1e-7)


@pytest.mark.parametrize("kind", ["gauss_newton", "fisher", "empirical_fisher"])
def test_padded_labels_in_the_other_matrices(kind: Kind) -> None:
    assert torch.allclose(product(padded(5), kind), product(padded(12), kind), atol=1e-12)


def test_a_weight_of_ones_own() -> None:
    """Half the loss over two heads, said to be a mean over two terms an example."""
    problem = replace(classifier(cut=20), weight=lambda batch: 2.0 * len(batch[1]))
    assert torch.allclose(product(problem), product(classifier(cut=48)), rtol=1e-12)
