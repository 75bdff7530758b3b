"""Eight bits: the map of bitsandbytes, nearest values, and the error that the map allows."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dyntools.checkpoints.quantised import NESTING
from dyntools.forms import EIGHT_BIT_BLOCK
from dyntools.linalg.eight_bit import BLOCK, CHUNK, dequantised, quantised, unsigned_map
from tests.processes import FIXTURES

RUN = FIXTURES / "runs" / "adam8bit"


def stored(path: Path) -> dict[str, torch.Tensor]:
    """The state of the tensor that bitsandbytes keeps in 8 bits."""
    checkpoint = torch.load(path, weights_only=True)
    found: dict[str, torch.Tensor] = checkpoint["optimizer"]["state"][0][NESTING]
    return found


def there_and_back(v: torch.Tensor) -> torch.Tensor:
    return dequantised(*quantised(v), tuple(v.shape))


def test_the_map_is_that_of_bitsandbytes() -> None:
    expected = stored(RUN / "step-10.pt")["qmap2"].double().numpy()
    assert len(unsigned_map()) == 256
    np.testing.assert_allclose(unsigned_map(), expected, rtol=2e-7)


def test_blocks_are_those_that_forms_price() -> None:
    assert BLOCK == EIGHT_BIT_BLOCK


def test_the_map_by_hand() -> None:
    found = unsigned_map()
    assert found[:3] == pytest.approx((0.0, 3.25e-7, 7.75e-7))  # two halves of (1e-7, 1e-6)
    assert found[-2:] == pytest.approx((1.0 - 0.9 / 256, 1.0))  # 128 parts of (0.1, 1)
    assert list(found) == sorted(set(found))


@pytest.mark.parametrize("step", [2, 10])
def test_codes_and_scales_of_bitsandbytes_come_back(step: int) -> None:
    """What it dequantised is quantised to the very codes and scales that it had stored."""
    state = stored(RUN / f"step-{step}.pt")
    moments = load_file(FIXTURES / "expected" / "adam8bit-moments.safetensors")
    v = moments[f"step-{step}.pt/0.weight/exp_avg_sq"]
    codes, scales = quantised(v)
    assert torch.equal(codes, state["state2"].flatten())
    torch.testing.assert_close(scales.float(), state["absmax2"], rtol=1e-7, atol=0.0)
    # Its map and its products are rounded to float32.
    torch.testing.assert_close(there_and_back(v).float(), v, rtol=4e-7, atol=0.0)


@pytest.mark.parametrize("count", [1, 255, 256, 257, CHUNK * 256 + 300])
def test_each_value_becomes_the_nearest_of_its_block(count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    v = (4 * torch.randn(count, generator=generator, dtype=torch.float64)).exp()
    found = there_and_back(v).numpy()
    table = np.array(unsigned_map())
    for start in (0, (count - 1) // 256 * 256):  # the first and the last block
        block = v[start : start + 256].numpy()
        reachable = table * block.max()
        nearest = np.abs(block[:, None] - reachable).min(1)
        np.testing.assert_allclose(np.abs(found[start : start + 256] - block), nearest, atol=1e-12)


def test_the_largest_relative_error_is_that_of_the_map() -> None:
    """Above 0.1 of the scale half a step of 0.9/128 of a decade: 3.5 % of the least of it."""
    v = torch.linspace(0.1, 1.0, 256, dtype=torch.float64)
    error = (there_and_back(v) / v - 1).abs()
    assert float(error.max()) <= 0.9 / 256 / 0.1 * (1 + 1e-9)
    assert float(error[-1]) == 0.0


def test_small_values_of_a_block_become_zero() -> None:
    v = torch.tensor([1.0, 1.7e-7, 1.6e-7, 0.0], dtype=torch.float64)
    assert there_and_back(v)[1:].tolist() == pytest.approx([3.25e-7, 0.0, 0.0])


def test_scale_of_a_power_of_two_and_shape_are_kept() -> None:
    v = torch.rand(7, 5, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert there_and_back(v).shape == v.shape
    assert torch.equal(there_and_back(v * 2.0**-90), there_and_back(v) * 2.0**-90)


def test_zeros_stay_zeros() -> None:
    assert not there_and_back(torch.zeros(600)).any()
    assert there_and_back(torch.zeros(0)).shape == (0,)
    assert math.isfinite(float(there_and_back(torch.tensor([1e-300, 0.0]).double()).sum()))
