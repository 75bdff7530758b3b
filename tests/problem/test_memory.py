"""The meter counts what lives."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import Tensor

from dyntools.problem.memory import footprint, free_memory, ran_out


def test_peak_and_kept() -> None:
    def compute() -> Tensor:
        first = torch.zeros(1000, dtype=torch.uint8)
        second = first + 1  # 2000
        del first
        third = second.view(10, 100)  # no new storage
        third.add_(1)
        fourth = torch.cat([second, second])  # 3000
        del second, third
        return fourth[:1].clone()

    result, found = footprint(compute)
    assert (found.peak, found.kept) == (3000, 1)
    assert result.tolist() == [2]


def test_what_backward_passes_make_is_seen() -> None:
    x = torch.ones(1000, requires_grad=True)

    def compute() -> Tensor:
        (gradient,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
        return gradient

    gradient, found = footprint(compute)
    assert found.kept >= gradient.nbytes
    assert found.peak > found.kept
    del gradient
    gc.collect()


def test_free_memory_is_positive() -> None:
    assert free_memory(torch.device("cpu")) > 2**20


@pytest.mark.parametrize(
    ("error", "is_it"),
    [
        (torch.OutOfMemoryError("…"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("shapes do not match"), False),
    ],
)
def test_running_out_is_told_from_other_errors(error: RuntimeError, is_it: bool) -> None:
    assert ran_out(error) is is_it


def test_the_allocator_still_says_so() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert ran_out(caught.value)
