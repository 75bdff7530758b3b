"""Singular values against LAPACK, against exactly known ones, and under what must not matter."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dyntools.linalg.spectrum import singular_values
from dyntools.linalg.tall import Tall
from tests.matrices import exact, gaussian, prescribed, reference
from tests.processes import python

SHAPES = [(64, 64), (200, 30), (30, 200), (2, 2), (1, 9), (9, 1), (1, 1), (257, 256)]
BY_GRAM, BY_QR = "eigenvalues of the Gram matrix in float64", "block-wise QR and SVD in float64"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_equal_to_lapack(shape: tuple[int, int], dtype: torch.dtype) -> None:
    matrix = gaussian(shape, seed=1).to(dtype)
    found = singular_values(matrix)
    assert found.values.shape == found.error.shape == (min(shape),)
    assert (np.diff(found.values) <= 0).all()
    np.testing.assert_allclose(found.values, reference(matrix), rtol=1e-9)


@pytest.mark.parametrize("size", [4, 16, 64, 256])
@pytest.mark.parametrize("smallest", [0.5, 1e-3, 1e-4])
def test_the_error_bounds_the_error(size: int, smallest: float) -> None:
    for seed in range(10 if size < 256 else 3):
        matrix, true = exact(size, seed, smallest)
        found = singular_values(matrix)
        assert found.method == BY_GRAM
        assert (np.abs(found.values - true) <= found.error).all()


@pytest.mark.parametrize("size", [4, 16, 64, 256])
def test_the_error_bounds_the_error_of_the_other_route(size: int) -> None:
    for seed in range(10 if size < 256 else 3):
        matrix, true = exact(size, seed, smallest=2.0**-20)
        found = singular_values(matrix)
        assert found.method == BY_QR
        assert (np.abs(found.values - true) <= found.error).all()
        assert (found.error < 1e-12 * true[0]).all()


def test_a_smallest_value_of_1e_7_keeps_its_digits() -> None:
    """A float64 Gram matrix alone is wrong by 2e-3 here, float32 LAPACK by 7e-2."""
    values = 10.0 * 10.0 ** (-7.0 * np.arange(300) / 299)
    found = singular_values(prescribed((500, 300), values, seed=0))
    assert found.method == BY_QR
    np.testing.assert_allclose(found.values, values, rtol=1e-7)


@pytest.mark.parametrize("seed", range(2))
def test_a_long_matrix_is_summed_over_several_blocks(seed: int) -> None:
    matrix = gaussian((2700, 400), seed).double()
    assert len(list(Tall.of(matrix).blocks())) > 1
    np.testing.assert_allclose(singular_values(matrix).values, reference(matrix), rtol=1e-11)
    matrix[:, 0] = matrix[:, 1]  # singular: over several blocks by QR
    found = singular_values(matrix)
    assert found.method == BY_QR
    np.testing.assert_allclose(found.values, reference(matrix), atol=1e-11)


@pytest.mark.parametrize("block_bytes", [1, 1000, 2**24])
def test_blocks_of_any_size_are_the_matrix(block_bytes: int) -> None:
    matrix, other = gaussian((13, 40), 0), gaussian((13, 40), 1)
    found = torch.cat(list(Tall.of(matrix, other).blocks(block_bytes, at_least=3, scale=2.0)))
    torch.testing.assert_close(found, (matrix.double() - other.double()).mT / 2)


def test_rotations_permutations_and_transposition_change_nothing() -> None:
    matrix = gaussian((120, 80), 0).double()
    left = torch.linalg.qr(gaussian((120, 120), 1).double())[0]
    right = torch.linalg.qr(gaussian((80, 80), 2).double())[0]
    permuted = matrix[torch.randperm(120, generator=torch.Generator().manual_seed(3))]
    true = singular_values(matrix).values
    for other in (left @ matrix @ right, permuted, matrix.mT, matrix.mT.contiguous(), -matrix):
        np.testing.assert_allclose(singular_values(other).values, true, rtol=1e-11)


@pytest.mark.parametrize("scale", [1e-20, 1e-12, 1e25])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scale_changes_nothing(scale: float, dtype: torch.dtype) -> None:
    matrix = (gaussian((50, 40), 0).double() * scale).to(dtype)
    np.testing.assert_allclose(singular_values(matrix).values, reference(matrix), rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-180, 1e-120, 1e160])
def test_scale_beyond_the_range_of_squares(scale: float) -> None:
    matrix = gaussian((50, 40), 0).double()
    found = singular_values(matrix * scale)
    np.testing.assert_allclose(found.values / scale, reference(matrix), rtol=1e-9)


def test_the_difference_of_two_matrices() -> None:
    now, then = gaussian((60, 90), 0), gaussian((60, 90), 1)
    found = singular_values(now, minus=then)
    np.testing.assert_allclose(found.values, reference(now.double() - then.double()), rtol=1e-9)
    assert (singular_values(now, minus=now).values == 0).all()


def test_the_difference_is_formed_in_float64() -> None:
    then = gaussian((40, 40), 0)
    now = torch.nextafter(then, torch.tensor(10.0))
    found = singular_values(now, minus=then)
    np.testing.assert_allclose(found.values, reference(now.double() - then.double()), rtol=1e-9)


def test_zero_and_rank_one() -> None:
    zero = singular_values(torch.zeros(5, 7))
    assert (zero.values == 0).all()
    assert (zero.error == 0).all()
    matrix = torch.outer(torch.arange(1.0, 9.0), torch.arange(1.0, 6.0))
    found = singular_values(matrix)
    assert found.values[0] == pytest.approx(float(matrix.double().norm()), rel=1e-14)
    assert (found.values[1:] <= found.error[1:]).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", [(0, 0), (30, 7), (59, 39)])
def test_nan_or_inf_gives_nan_and_says_so(bad: float, place: tuple[int, int]) -> None:
    matrix = gaussian((60, 40), 0)
    matrix[place] = bad
    found = singular_values(matrix)
    assert np.isnan(found.values).all()
    assert "NaN" in found.method


def test_a_parameter_that_requires_gradients_is_a_matrix_like_any() -> None:
    parameter = torch.nn.Parameter(gaussian((30, 20), 0))
    found = singular_values(parameter, minus=parameter.detach() / 2)
    np.testing.assert_allclose(2 * found.values, reference(parameter.detach()), rtol=1e-9)


def test_the_argument_is_not_touched() -> None:
    matrix, other = gaussian((30, 50), 0), gaussian((30, 50), 1)
    before = matrix.clone()
    singular_values(matrix, minus=other)
    assert torch.equal(matrix, before)


@pytest.mark.slow
def test_memory_stays_below_a_float64_copy() -> None:
    """A float64 copy of this matrix would be 123 MB."""
    code = """
import torch
from dyntools.linalg.spectrum import singular_values
def resident(key):
    for line in open("/proc/self/status"):
        if line.startswith(key):
            return int(line.split()[1]) / 1024
torch.set_num_threads(1)
matrix = torch.randn(60000, 256)
singular_values(torch.randn(300, 256))
open("/proc/self/clear_refs", "w").write("5")
before = resident("VmRSS")
singular_values(matrix)
print(resident("VmHWM") - before)
"""
    result = python(code)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 60  # measured: 36, of which OpenBLAS takes 32 for itself


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_same_on_a_gpu() -> None:
    for matrix in (gaussian((300, 200), 0), exact(64, 0, 2.0**-20)[0]):
        there = singular_values(matrix.cuda())
        np.testing.assert_allclose(there.values, reference(matrix), rtol=1e-9)
