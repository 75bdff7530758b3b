"""What several metrics need of a snapshot is tried once, and an error of it is met once."""

from __future__ import annotations

import pytest
import torch

from dyntools.errors import CheckpointError, ProblemError
from dyntools.snapshot import Snapshot, Tensors
from tests.problems import classifier, params_of, snapshot_of


def snapshot() -> Snapshot:
    return Snapshot(0, Tensors.of({"w": torch.ones(2, 3), "b": torch.ones(2)}))


class Counting:
    """Gives 1, 2, … as a new list, or raises where it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.calls = error, 0

    def __call__(self) -> list[int]:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return [self.calls]


def test_what_is_attempted_is_computed_once() -> None:
    here, compute = snapshot(), Counting()
    first = here.attempted("key", compute)
    assert first == [1]
    assert here.attempted("key", compute) is first
    assert here.known("key") is first
    assert here.attempted("another", compute) == [2]
    assert snapshot().attempted("key", compute) == [3]  # nothing is shared between snapshots


def test_an_error_of_the_problem_is_raised_again_and_not_met_anew() -> None:
    here, error = snapshot(), ProblemError("The loss is not finite.", remedy="another batch")
    compute = Counting(error)
    for _ in range(3):
        with pytest.raises(ProblemError) as caught:
            here.attempted("key", compute)
        assert caught.value is error
    with pytest.raises(ProblemError):
        here.attempted("key", Counting())  # what would succeed now is not tried either
    assert compute.calls == 1
    assert here.attempted("another", Counting()) == [1]


@pytest.mark.parametrize("error", [CheckpointError("damaged"), MemoryError(), KeyError("name")])
def test_other_errors_pass_and_are_not_kept(error: Exception) -> None:
    """What may be over the next time, such as memory that ran out, is tried again."""
    here, compute = snapshot(), Counting(error)
    for _ in range(2):
        with pytest.raises(type(error)):
            here.attempted("key", compute)
    assert compute.calls == 2
    assert here.known("key") is None
    assert here.attempted("key", Counting()) == [1]


def test_one_tensor_of_a_snapshot_shares_what_was_attempted() -> None:
    here, compute = snapshot(), Counting(ProblemError("no"))
    for name in ("w", "b"):
        with pytest.raises(ProblemError):
            here.only(name).attempted("key", compute)
    assert compute.calls == 1


def test_the_gradient_of_a_problem_that_does_not_fit_is_refused_for_every_tensor() -> None:
    problem = classifier()
    params = params_of(problem)
    lacking = {name: p for name, p in params.items() if name != "0.bias"}
    here = snapshot_of(problem, lacking)
    sentences = set()
    for name in lacking:
        with pytest.raises(ProblemError) as caught:
            here.gradient_of_problem(name)
        sentences.add(str(caught.value))
    assert len(sentences) == 1
    assert isinstance(here.known(("vectors", "gradient")), ProblemError)


def test_a_snapshot_without_a_problem_says_so() -> None:
    for _ in range(2):
        with pytest.raises(ProblemError, match="has no problem"):
            snapshot().gradient_of_problem("w")
