"""What PyTorch cannot differentiate twice is said in plain words, with the way out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import ctc_loss, log_softmax

from dyntools.errors import ProblemError
from dyntools.problem import Problem
from tests.problem.networks import CLASSES, WIDTH, Checkpointed, classification, risk_at, scattered


def bag() -> Problem:
    ids = torch.tensor([[0, 1], [2, 0], [1, 1]])
    model = scattered(nn.Sequential(nn.EmbeddingBag(CLASSES, WIDTH), nn.Linear(WIDTH, CLASSES)))
    base = classification(nn.Linear(2, CLASSES), 2)
    return replace(base, model=model, batches=[(ids, torch.tensor([0, 1, 2]))])


def ctc() -> Problem:
    def loss(outputs: Tensor, batch: Any) -> Tensor:
        scores = log_softmax(outputs, -1).transpose(0, 1)  # (T, B, C)
        lengths = torch.full((len(outputs),), scores.shape[0])
        targets = batch[1][:, None].clamp(min=1)
        return ctc_loss(scores, targets, lengths, torch.ones_like(lengths))

    return replace(classification(nn.Linear(WIDTH, CLASSES), 5, WIDTH), loss=loss)


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (bag, "EmbeddingBag"),
        (ctc, "CTC"),
        (lambda: classification(Checkpointed(reentrant=True), WIDTH), "Reentrant"),
    ],
)
def test_no_second_derivative(problem: Any, words: str) -> None:
    with pytest.raises(ProblemError, match=words) as caught:
        risk_at(problem()).product(torch.ones(1))
    assert caught.value.remedy
    assert caught.value.found


@pytest.mark.parametrize("make", [bag, ctc])
def test_its_gradient_is_had_all_the_same(make: Any) -> None:
    """Also the trials of memory, which are products where there are any, go without."""
    problem = make()
    (batch,) = problem.batches
    problem.loss(problem.model(batch[0]), batch).backward()
    expected = torch.cat([p.grad.flatten() for p in problem.model.parameters()])
    problem.model.zero_grad(set_to_none=True)
    torch.testing.assert_close(risk_at(problem).gradient(), expected)
