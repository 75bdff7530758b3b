from __future__ import annotations

import numpy as np
import pytest
import torch

from dyntools.linalg.vectors import _batched, dot, gram_matrix, inner, norm, subtract


def test_a_float32_norm_of_ten_million_entries_does_not_drift() -> None:
    """torch's own norm is off by 3.7e-4 there on a CPU, and Lanczos coefficients with it."""
    vector = torch.randn(10_000_000, generator=torch.Generator().manual_seed(0))
    exact = float(np.sqrt(np.sum(vector.numpy().astype(np.float64) ** 2)))
    assert abs(float(norm(vector)) / exact - 1) < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [1, 5, 32768, 70_001])
def test_inner_products_are_those_of_float64(dtype: torch.dtype, n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    rows = torch.randn(3, n, generator=generator).to(dtype)
    vector = torch.randn(n, generator=generator).to(dtype)
    exact = rows.double() @ vector.double()
    for got in (inner(rows, vector), _batched(rows, vector)):
        assert got.dtype == torch.float64
        torch.testing.assert_close(got, exact, rtol=0, atol=1e-5 * n**0.5)
    torch.testing.assert_close(dot(rows[0], vector), exact[0], rtol=0, atol=1e-5 * n**0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [0, 1, 5, 32768, 70_001])
def test_a_gram_matrix_is_that_of_float64(dtype: torch.dtype, n: int) -> None:
    rows = torch.randn(3, n, generator=torch.Generator().manual_seed(n)).to(dtype)
    got = gram_matrix(rows)
    assert got.dtype == torch.float64
    exact = rows.double() @ rows.double().T
    torch.testing.assert_close(got, exact, rtol=0, atol=1e-6 * n)


def test_a_gram_matrix_of_ten_million_entries_does_not_drift() -> None:
    """One float32 product over them is off by 9e-5 on a CPU."""
    row = torch.randn(1, 10_000_000, generator=torch.Generator().manual_seed(0))
    exact = float(np.sum(row.numpy().astype(np.float64) ** 2))
    assert abs(float(gram_matrix(row)) / exact - 1) < 1e-6


def test_reduce_sees_every_sum() -> None:
    a = torch.ones(4)
    assert float(dot(a, a, lambda t: t * 3)) == 12
    assert float(norm(a, lambda t: t * 4)) == 4


def test_subtract_works_in_place() -> None:
    rows = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    vector = torch.tensor([3.0, 4, 5])
    subtract(vector, torch.tensor([3.0, 1.0], dtype=torch.float64), rows)
    assert vector.tolist() == [0, 3, 5]
