"""The denominator: √v̂ in float64, a copy, or the sentence that says what is wrong with v."""

from __future__ import annotations

import math

import pytest
import torch

from dyntools.metrics.optimizer.denominator import precision, root, second_moment
from dyntools.moments import Moments
from dyntools.snapshot import Snapshot, Tensors
from tests.metrics.optimizer.adam_states import adam_snapshot, entry


def of(v: torch.Tensor, steps: float = math.inf, largest: torch.Tensor | None = None) -> Moments:
    most = None if largest is None else entry(largest)
    return Moments(
        tuple(v.shape), None, entry(v), most, steps, 1e-3, 0.9, 0.999, 1e-8, 0.0
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_the_root_is_corrected_in_float64_and_leaves_the_state_alone(dtype: torch.dtype) -> None:
    v = torch.tensor([0.0, 1.0, 4.0], dtype=dtype)
    found = root(of(v, steps=3))
    assert isinstance(found, torch.Tensor)
    assert found.dtype == torch.float64
    scale = math.sqrt(1 - 0.999**3)
    assert found.tolist() == pytest.approx([0.0, 1 / scale, 2 / scale], rel=1e-12)
    assert v.tolist() == [0.0, 1.0, 4.0]


def test_without_a_count_of_steps_nothing_is_corrected_and_nothing_touched() -> None:
    v = torch.tensor([9.0], dtype=torch.float64)
    found = root(of(v))
    assert isinstance(found, torch.Tensor)
    assert (found.item(), v.item()) == (3.0, 9.0)


def test_amsgrad_divides_by_its_largest() -> None:
    found = root(of(torch.ones(2), largest=torch.full((2,), 16.0)))
    assert isinstance(found, torch.Tensor)
    assert found.tolist() == [4.0, 4.0]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([1.0, math.nan], "NaN or inf"),
        ([math.inf, 0.0], "NaN or inf"),
        ([1.0, -1e-9], "negative"),
        ([], "no values"),
    ],
)
def test_what_is_no_second_moment_says_so(values: list[float], why: str) -> None:
    for found in (second_moment(of(torch.tensor(values))), root(of(torch.tensor(values)))):
        assert isinstance(found, str)
        assert why in found


def test_precision_of_the_state() -> None:
    assert precision(adam_snapshot({"w": torch.ones(1)})) == ""
    assert "8 bits" in precision(adam_snapshot({"w": torch.ones(1)}, family="adam8bit"))
    assert precision(Snapshot(0, Tensors.of({}))) == ""
