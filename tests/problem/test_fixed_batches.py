"""What is drawn from a loader: once, always the same, with nobody's random numbers disturbed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from dyntools.errors import ProblemError
from dyntools.problem import Problem, fixed_batches
from dyntools.problem.fixed_batches import described, inputs_of, targets_of
from tests.problem.networks import risk_at

X, Y = torch.arange(40.0).view(20, 2), torch.arange(20) % 3


def loader(**settings: Any) -> DataLoader[Any]:
    return DataLoader(TensorDataset(X, Y), batch_size=6, shuffle=True, **settings)


def labels(problem: Problem) -> list[list[int]]:
    return [batch[1].tolist() for batch in problem.batches]


def test_a_shuffled_loader_is_drawn_once_and_the_same_examples_come_each_time() -> None:
    torch.manual_seed(1)
    first = Problem.classification(nn.Linear(2, 3), loader())
    torch.manual_seed(2)
    second = Problem.classification(nn.Linear(2, 3), loader())
    assert labels(first) == labels(second) == labels(first)
    drawn = torch.cat([batch[0][:, 0] for batch in first.batches])
    assert sorted(drawn.tolist()) == X[:, 0].tolist() != drawn.tolist()
    risk_at(first)  # the guard of two equal passes, which the loader itself does not meet
    with pytest.raises(ProblemError, match="Two passes"):
        risk_at(Problem(nn.Linear(2, 3), loader(), lambda z, b: z.mean()))


def test_random_numbers_of_the_training_go_on() -> None:
    torch.manual_seed(3)
    own = torch.Generator().manual_seed(4)
    given = loader(generator=own)
    before = torch.random.get_rng_state(), own.get_state()
    fixed_batches.fixed_batches(given, 2)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert torch.equal(own.get_state(), before[1])


def test_only_so_many_batches_are_drawn() -> None:
    def endless() -> Any:
        while True:
            yield X, Y

    assert len(fixed_batches.fixed_batches(endless(), 3)) == 3


def test_a_loader_without_an_end_is_told_from_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fixed_batches, "free_memory", lambda device: 4 * 10 * X.nbytes)

    def endless() -> Any:
        while True:
            yield X

    with pytest.raises(ProblemError, match="more than may be kept") as caught:
        fixed_batches.fixed_batches(endless())
    assert "11 batches" in str(caught.value)
    assert "batches=10" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "sentence", "found"),
    [
        ([], "gives no batch", "list"),
        (iter(()), "gives no batch", "iterator"),
        ((X, Y), "one batch", "tuple of (20, 2) float32; (20,) int64"),
        (X, "one batch", "(20, 2) float32"),
        ({"x": X}, "one batch", "{x: (20, 2) float32}"),
        (7, "cannot be drawn", "int"),
    ],
)
def test_what_is_no_loader_is_told(given: Any, sentence: str, found: str) -> None:
    with pytest.raises(ProblemError, match=sentence) as caught:
        fixed_batches.fixed_batches(given)
    assert found in str(caught.value)


def test_no_batches_at_all() -> None:
    with pytest.raises(ProblemError, match="at least one"):
        fixed_batches.fixed_batches([(X, Y)], 0)


def test_targets_are_the_second_of_a_pair_or_go_by_name() -> None:
    assert targets_of((X, Y)) is Y
    for name in ("labels", "label", "targets", "target", "y"):
        batch = {"x": X, name: Y}
        assert targets_of(batch) is Y
        assert list(inputs_of(batch)) == ["x"]
    for unclear in ((X, Y, Y), X, {"x": X, "mask": Y}):
        with pytest.raises(ProblemError, match="cannot be told") as caught:
            targets_of(unclear)
        assert described(unclear) in str(caught.value)


def test_a_data_set_in_place_of_a_loader_is_told() -> None:
    examples = [(x, int(y)) for x, y in zip(X, Y, strict=True)]
    with pytest.raises(ProblemError, match="one row for each example") as caught:
        Problem.classification(nn.Linear(2, 3), examples)
    assert "targets int" in str(caught.value)
    assert "DataLoader" in str(caught.value)
