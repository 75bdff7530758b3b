"""The largest singular value alone: as the whole spectrum has it, within the error it states."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dyntools.linalg.top_singular_value import METHOD, top_singular_value
from tests.matrices import gaussian, prescribed, reference

SPIKED = np.concatenate([[25.0, 14.0, 9.0], 6.0 * np.arange(5.0, 402.0) ** -0.5])
CLOSE_PAIR = np.concatenate([[1.0, 1.0 - 1e-5], np.linspace(0.9, 0.01, 398)])
MULTIPLE = np.concatenate([[1.0, 1.0, 1.0], np.linspace(0.5, 0.01, 397)])


@pytest.mark.parametrize("shape", [(300, 300), (500, 280), (280, 500), (40, 500), (1, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_flat_spectra(shape: tuple[int, int], dtype: torch.dtype) -> None:
    for seed in range(4):
        matrix = gaussian(shape, seed, scale=0.02).to(dtype)
        true = reference(matrix)[0]
        found = top_singular_value(matrix)
        assert found.converged
        assert abs(found.value - true) <= found.error + 1e-15 * true
        assert found.error <= 1.1e-7 * true
        assert found.value == pytest.approx(true, rel=1e-9)


@pytest.mark.parametrize("values", [SPIKED, CLOSE_PAIR, MULTIPLE], ids=["spiked", "pair", "triple"])
def test_prescribed_spectra(values: np.ndarray) -> None:
    matrix = prescribed((500, 400), values, seed=0).float()
    true = reference(matrix)[0]
    for seed in range(10):
        found = top_singular_value(matrix, seed=seed)
        assert found.method == METHOD
        assert found.converged
        assert abs(found.value - true) <= found.error + 1e-15 * true


def test_spikes_need_few_products() -> None:
    assert top_singular_value(prescribed((600, 400), SPIKED, 0).float()).matvecs <= 20


@pytest.mark.parametrize("scale", [1e-20, 1e25])
def test_scale_changes_nothing(scale: float) -> None:
    matrix = (gaussian((400, 300), 0).double() * scale).float()
    found = top_singular_value(matrix)
    assert found.converged
    assert found.value == pytest.approx(reference(matrix)[0], rel=1e-9)


def test_too_few_steps_say_so() -> None:
    matrix = gaussian((400, 300), 0)
    found = top_singular_value(matrix, max_steps=3)
    assert not found.converged
    assert found.matvecs == 8
    assert found.value < reference(matrix)[0]  # a Rayleigh quotient is a lower bound


def test_same_seed_same_bits_and_another_seed_within_the_error() -> None:
    matrix = gaussian((400, 300), 0)
    first, again, other = (top_singular_value(matrix, seed=s) for s in (1, 1, 2))
    assert first == again
    assert abs(first.value - other.value) <= first.error + other.error


def test_zero_rank_one_and_identity() -> None:
    zero = top_singular_value(torch.zeros(400, 300))
    assert (zero.value, zero.error, zero.converged) == (0.0, 0.0, True)
    rank_one = torch.outer(torch.ones(400), torch.ones(300))
    assert top_singular_value(rank_one).value == pytest.approx((400 * 300) ** 0.5, rel=1e-12)
    assert top_singular_value(3 * torch.eye(300)).value == pytest.approx(3.0, rel=1e-12)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("shape", [(400, 300), (60, 40)])
def test_nan_or_inf_gives_nan_and_says_so(bad: float, shape: tuple[int, int]) -> None:
    matrix = gaussian(shape, 0)
    matrix[3, 5] = bad
    found = top_singular_value(matrix)
    assert np.isnan(found.value)
    assert not found.converged
    assert "NaN" in found.method


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_same_on_a_gpu() -> None:
    matrix = gaussian((700, 300), 0)
    found = top_singular_value(matrix.cuda())
    assert found.value == pytest.approx(reference(matrix)[0], rel=1e-9)
