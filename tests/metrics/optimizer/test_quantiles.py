"""Quantiles: as sorted by hand, of any shape and dtype, without touching the values."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dyntools.metrics.optimizer.quantiles import LEVELS, quantiles
from tests.matrices import gaussian


def by_hand(values: np.ndarray, level: float) -> float:
    """Linear between the two neighbours of (n-1) · level in the sorted values."""
    ordered = np.sort(values)
    place = (len(ordered) - 1) * level
    low = int(np.floor(place))
    high = min(low + 1, len(ordered) - 1)
    return float(ordered[low] + (place - low) * (ordered[high] - ordered[low]))


@pytest.mark.parametrize("shape", [(1,), (2,), (7, 3), (2, 3, 4, 5), (101,)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_as_sorted_by_hand(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    values = gaussian(shape, 0).to(dtype)
    flat = values.double().numpy().ravel()
    expected = {name: by_hand(flat, level) for name, level in LEVELS.items()}
    assert quantiles(values) == pytest.approx(expected, rel=1e-12)


def test_a_hundred_and_one_whole_numbers() -> None:
    found = quantiles(torch.arange(101).flip(0))
    assert found == {"q05": 5.0, "q25": 25.0, "q50": 50.0, "q75": 75.0, "q95": 95.0}


def test_more_values_than_torch_takes_and_none_of_them_moved() -> None:
    """torch.quantile ends at 2²⁴ values, which is less than an embedding has."""
    values = torch.arange(2**24 + 1, dtype=torch.float64).flip(0)
    assert quantiles(values)["q50"] == 2.0**23
    assert values[0] == 2.0**24
    assert values[-1] == 0.0
