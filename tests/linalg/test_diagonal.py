from __future__ import annotations

import numpy as np
import pytest
import torch

from dyntools.linalg.diagonal import diagonal
from tests.quadratics import quadratic


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_unbiased_with_honest_standard_errors(dtype: torch.dtype) -> None:
    counted = quadratic(np.random.default_rng(0).uniform(-1, 3, 400), dtype)
    found = diagonal(counted.operator, 60, seed=1)
    exact = counted.matrix.diagonal()
    z = ((found.values - exact) / found.standard_errors).double().numpy()
    assert found.products == counted.products == 60
    assert abs(z.mean()) < 4 / np.sqrt(400)
    assert 0.5 < np.mean(np.abs(z) <= 1) < 0.9


def test_the_error_is_that_of_the_off_diagonal() -> None:
    """var d_i = Σ_{j≠i} A_ij² / probes."""
    counted = quadratic(np.random.default_rng(0).uniform(-1, 3, 300))
    found = diagonal(counted.operator, 200)
    off = counted.matrix - torch.diag(counted.matrix.diagonal())
    expected = (off.square().sum(1) / 200).sqrt()
    assert ((found.standard_errors / expected).mean() - 1).abs() < 0.05


def test_a_diagonal_matrix_is_exact_from_one_probe() -> None:
    counted = quadratic([1.0])
    assert diagonal(counted.operator, 1).values.tolist() == [1.0]
    assert diagonal(counted.operator, 1).standard_errors.isnan().all()
    assert diagonal(counted.operator, 3).standard_errors.tolist() == [0.0]


def test_seeds_share_no_probe() -> None:
    operator = quadratic(np.linspace(0, 1, 50)).operator
    a, b = (diagonal(operator, 2, seed=seed).values for seed in (0, 1))
    assert (a - b).abs().min() > 0
    assert torch.equal(a, diagonal(operator, 2, seed=0).values)
