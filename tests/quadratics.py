"""Operators of known spectrum, with their products counted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dyntools.linalg.operator import Operator


class Counted:
    """A dense symmetric matrix as an operator that counts its products."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix, self.products = matrix, 0
        self.operator = Operator(self._apply, len(matrix), matrix.dtype)

    def _apply(self, vector: Tensor) -> Tensor:
        self.products += 1
        return self.matrix @ vector


def quadratic(
    spectrum: Sequence[float] | NDArray[np.float64],
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> Counted:
    """Q diag(spectrum) Qᵀ with a random orthogonal Q."""
    values = torch.as_tensor(np.asarray(spectrum, dtype=np.float64))
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(len(values), len(values), generator=generator, dtype=torch.float64)
    q = torch.linalg.qr(normal).Q
    matrix = (q * values) @ q.T
    return Counted(((matrix + matrix.T) / 2).to(dtype))
