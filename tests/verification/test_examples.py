"""Which examples are trained on and judged by, and in which order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dyntools.errors import ProblemError, UsageError
from dyntools.problem import Problem
from dyntools.problem.batches import rows
from dyntools.verification.examples import examples_of, pooled

CPU = torch.device("cpu")


def numbered(*counts: int) -> Problem:
    """Examples that are their own numbers, in batches of these lengths."""
    values = torch.arange(float(sum(counts)))[:, None]
    batches = [(part, 10.0 * part) for part in values.split(list(counts))]
    return Problem(nn.Linear(1, 1), batches, lambda z, b: (z - b[1]).square().mean())


def numbers(batches: list[Any]) -> list[float]:
    return [float(x) for batch in batches for x in batch[0].flatten()]


def test_a_fifth_is_held_out_and_never_trained_on() -> None:
    found = examples_of(numbered(20, 20, 10), None, 7, CPU)
    judged = [x for batch in found.evaluation() for x in numbers([batch])]
    seen = {x for batches in found.order(0, 30) for x in numbers(batches)}
    assert len(judged) == len(set(judged)) == 10
    assert seen | set(judged) == set(map(float, range(50)))
    assert not seen & set(judged)


def test_the_held_out_fifth_is_the_same_for_every_seed() -> None:
    one, other = (examples_of(numbered(50), None, 5, CPU) for _ in range(2))
    assert np.array_equal(one.judged, other.judged)


def test_every_example_once_a_pass() -> None:
    found = examples_of(numbered(30, 10), None, 8, CPU)  # 32 to train on, four steps a pass
    passed = [x for batches in found.order(3, 4) for x in numbers(batches)]
    assert sorted(passed) == sorted(map(float, found.training))


def test_mini_batches_are_joined_across_batches_in_the_drawn_order() -> None:
    """Shuffled, not sorted by the batch that they lie in; targets stay beside their inputs."""
    found = examples_of(numbered(13, 17, 20), None, 40, CPU)
    (mini_batch,) = next(found.order(1, 1))
    drawn = np.random.default_rng(1).permutation(found.training)
    assert numbers([mini_batch]) == [float(i) for i in drawn]
    assert torch.equal(mini_batch[1], 10.0 * mini_batch[0])


def test_order_depends_on_the_seed_alone() -> None:
    found = examples_of(numbered(40), None, 4, CPU)
    first = [numbers(batches) for batches in found.order(0, 20)]
    assert first == [numbers(batches) for batches in found.order(0, 20)]
    assert first != [numbers(batches) for batches in found.order(1, 20)]


def test_sequences_of_several_lengths_stay_apart() -> None:
    batches = [torch.zeros(6, 3), torch.ones(6, 5)]
    problem = Problem(nn.Identity(), batches, lambda z, b: z.mean())
    found = examples_of(problem, None, 10, CPU)
    parts = next(found.order(0, 1))
    assert sorted(part.shape[1] for part in parts) == [3, 5]
    assert sum(map(rows, parts)) == 10


def test_what_examples_share_goes_along_once() -> None:
    """A mask that all batches share; and not when it differs."""
    mask = torch.tensor([1.0, 0.0, 1.0])
    batches = [{"x": torch.zeros(5, 3), "mask": mask, "name": "a"} for _ in range(2)]
    problem = Problem(nn.Identity(), batches, lambda z, b: z.mean())
    (joined,) = next(examples_of(problem, None, 8, CPU).order(0, 1))
    assert joined["x"].shape == (8, 3)
    assert torch.equal(joined["mask"], mask)
    other = [batches[0], {**batches[1], "mask": 1.0 - mask}]
    apart = examples_of(replace(problem, batches=other), None, 8, CPU)
    assert len(next(apart.order(0, 1))) == 2


def test_a_second_problem_is_judged_by() -> None:
    found = examples_of(numbered(40), replace(numbered(6), source="v.py"), None, CPU)
    assert (len(found.training), len(found.judged)) == (40, 6)
    assert found.told == "the 6 examples of v.py"


def test_a_mini_batch_is_the_first_batch_but_leaves_an_order() -> None:
    """One batch of all examples would be one order."""
    assert examples_of(numbered(4, 96), None, None, CPU).batch_size == 4
    assert examples_of(numbered(100), None, None, CPU).batch_size == 10


def test_too_few_examples_and_too_large_a_batch_are_told() -> None:
    with pytest.raises(ProblemError, match="too few examples to hold some out"):
        examples_of(numbered(4), None, None, CPU)
    with pytest.raises(UsageError, match="do not fit its examples"):
        examples_of(numbered(10), None, 9, CPU)


def test_shares_are_by_terms_and_batches_without_terms_are_left_out() -> None:
    shares = pooled(["a", "b", "c"], {"a": 1.0, "b": 0.0, "c": 3.0}.__getitem__)
    assert shares == [("a", 0.25), ("c", 0.75)]
