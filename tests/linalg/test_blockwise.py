"""Norms and directions in float64, whatever the size and type of the tensors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dyntools.linalg import blockwise
from dyntools.linalg.blockwise import ROUNDING, blocks, chord, difference, norm
from tests.matrices import gaussian


def long(tensor: torch.Tensor) -> np.ndarray:
    """80-bit reference values."""
    return tensor.double().numpy().astype(np.longdouble).ravel()


@pytest.mark.parametrize("size", [1, 1000, 10**6, 3 * 10**6])
def test_norm_and_chord_keep_within_their_rounding(size: int) -> None:
    for seed in range(3):
        a = gaussian((size,), seed)
        b = a + 1e-4 * gaussian((size,), seed + 10)
        x, y = long(a), long(b)
        length_x, length_y = np.sqrt(x @ x), np.sqrt(y @ y)
        assert abs(norm(a) - length_x) <= ROUNDING * length_x
        apart = x / length_x - y / length_y
        assert abs(chord(a, b) - np.sqrt(apart @ apart)) <= ROUNDING


def test_blocks_are_the_tensor_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blockwise, "BLOCK", 7)
    tensor = gaussian((5, 6), 0).to(torch.bfloat16)
    found = list(blocks(tensor.mT))
    assert {block.dtype for block in found} == {torch.float64}
    assert torch.equal(torch.cat(found), tensor.mT.double().flatten())


def test_chord_of_known_angles() -> None:
    a = torch.tensor([3.0, 0.0])
    assert chord(a, torch.tensor([0.0, 0.1])) == pytest.approx(math.sqrt(2))
    assert chord(a, -a) == 2.0
    assert chord(a, 7 * a) == 0.0
    assert math.isnan(chord(a, torch.zeros(2)))
    assert math.isnan(chord(a, torch.tensor([math.nan, 1.0])))
    assert math.isnan(chord(a, torch.tensor([math.inf, 1.0])))


def test_difference_splits_into_length_and_part_along() -> None:
    length, along = difference(torch.tensor([4.0, 4.0]), torch.tensor([1.0, 0.0]))
    assert (length, along) == (5.0, 3.0)
    assert math.isnan(difference(torch.ones(2), torch.zeros(2))[1])


def test_norm_of_nothing_and_of_nan() -> None:
    assert norm(torch.empty(0)) == 0.0
    assert math.isnan(norm(torch.tensor([1.0, math.nan])))
    assert norm(torch.tensor([1.0, math.inf])) == math.inf


@pytest.mark.parametrize("scale", [1e-300, 1e-120, 1e120, 1e300])
def test_values_whose_squares_leave_the_range(scale: float) -> None:
    a, b = gaussian((1000,), 0).double(), gaussian((1000,), 1).double()
    assert norm(a * scale) == pytest.approx(norm(a) * scale, rel=1e-14)
    assert chord(a * scale, b * scale) == pytest.approx(chord(a, b), rel=1e-14)
    length, along = difference(a * scale, b * scale)
    assert length == pytest.approx(difference(a, b)[0] * scale, rel=1e-14)
    assert along == pytest.approx(difference(a, b)[1] * scale, rel=1e-12)


def test_a_norm_beyond_the_range_is_infinite_and_of_zeros_zero() -> None:
    assert norm(torch.full((4,), 1.5e308, dtype=torch.float64)) == math.inf
    assert norm(torch.zeros(3)) == 0.0
