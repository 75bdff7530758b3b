"""Sums, multiples, shifts and scalings of operators against dense matrices."""

from __future__ import annotations

import numpy as np
import torch

from dyntools.linalg.operator import Operator
from dyntools.operators.arithmetic import multiple, scaled, shifted, total
from tests.problems import Array, symmetric


def operator(matrix: Array) -> Operator:
    dense = torch.from_numpy(matrix)
    return Operator(lambda v: dense @ v, len(matrix), torch.float64)


def dense(found: Operator) -> Array:
    return np.stack([found(e).numpy() for e in torch.eye(found.size, dtype=torch.float64)])


def test_against_dense_matrices() -> None:
    a, b, c = (symmetric(np.arange(5.0) - s, seed=s) for s in range(3))
    d = torch.linspace(0.5, 2.0, 5, dtype=torch.float64)
    found = {
        "total": (total([operator(a), operator(b), operator(c)]), a + b + c),
        "multiple": (multiple(operator(a), -0.3), -0.3 * a),
        "shifted": (shifted(operator(a), 2.5), a + 2.5 * np.eye(5)),
        "scaled": (scaled(operator(a), d), d.numpy()[:, None] * a * d.numpy()),
    }
    for name, (one, expected) in found.items():
        np.testing.assert_allclose(dense(one), expected, atol=1e-13, err_msg=name)


def test_the_vector_is_left_alone_and_used_as_it_is() -> None:
    """Lanczos keeps the vectors it sends in: none may change, nor come back as the result."""
    a, d = symmetric([3.0, 1.0, -1.0]), torch.tensor([2.0, 1.0, 0.5], dtype=torch.float64)
    made = (total([operator(a)] * 2), multiple(operator(a), 2), shifted(operator(a), 1))
    for one in (*made, scaled(operator(a), d)):
        vector = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
        result = one(vector)
        assert torch.equal(vector, torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
        assert result.data_ptr() != vector.data_ptr()
