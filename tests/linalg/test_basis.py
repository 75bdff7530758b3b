from __future__ import annotations

import numpy as np
import pytest
import torch

from dyntools.linalg.basis import Basis, width_for
from dyntools.linalg.operator import Operator


@pytest.mark.parametrize("offload", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_stay_orthonormal_even_where_almost_nothing_is_new(
    dtype: torch.dtype, offload: bool
) -> None:
    """One Gram-Schmidt pass leaves 1e-2 of the old directions in a vector that is 1e-5 new."""
    n = 2000
    operator = Operator(lambda v: v, n, dtype)
    basis = Basis(operator, 9, offload=offload)
    first = operator.normal(0)
    for i in range(9):
        vector = first + 1e-5 * operator.normal(i)
        _, length = basis.orthogonalise(vector, basis.norm(vector)) if i else (0, basis.norm(first))
        basis.append(vector if i else first, length)
    gram = basis.rows.double() @ basis.rows.double().T
    assert (gram - torch.eye(9)).abs().max() < 20 * torch.finfo(dtype).eps


def test_rotate_in_place_is_the_matrix_product() -> None:
    operator = Operator(lambda v: v, 50, torch.float64)
    basis = Basis(operator, 5)
    for i in range(5):
        basis.append(operator.normal(i), 1.0)
    weights = np.random.default_rng(0).standard_normal((3, 5))
    expected = torch.from_numpy(weights) @ basis.rows
    torch.testing.assert_close(basis.combine(weights), expected)
    basis.rotate(weights)
    assert basis.count == 3
    torch.testing.assert_close(basis.rows[:3], expected)


def test_width_fills_the_memory_and_never_falls_below_the_least() -> None:
    size, k = 1000, 2
    width = width_for(100_000, size, 4, k)
    assert (width + 1 + k) * size * 4 <= 100_000 < (width + 2 + k) * size * 4
    assert width_for(0, size, 4, k) == k + 3
