"""Places: where a matrix that a model multiplies with lies in its flat parameters θ (n,).

A weight may be a parameter, its transpose, or one of three parts of it. Its place tells which
entries of θ it is, so the same part of other parameters can be had, and θ need not be kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dyntools.problem.layout import Layout


@dataclass(frozen=True)
class Place:
    """A view of a flat vector. start: of its first entry."""

    start: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def of(self, vector: Tensor) -> Tensor:
        """The matrix in these parameters (n,)."""
        return self._view(vector, self.start)

    def parameter(self, layout: Layout) -> str:
        """The name of the parameter that it is a part of."""
        return next(name for name, s in layout.slices.items() if s.start <= self.start < s.stop)

    def within(self, layout: Layout, tensor: Tensor) -> Tensor:
        """The matrix in another value of that parameter, in the parameter's shape."""
        start = self.start - layout.slices[self.parameter(layout)].start
        return self._view(tensor.reshape(-1), start)

    def _view(self, flat: Tensor, start: int) -> Tensor:
        return torch.as_strided(flat, self.shape, self.stride, flat.storage_offset() + start)


def place_of(matrix: Tensor, theta: Tensor) -> Place | None:
    """None where it is no view of θ: frozen, or computed from parameters."""
    if matrix.untyped_storage().data_ptr() != theta.untyped_storage().data_ptr():
        return None
    start = int(matrix.storage_offset()) - int(theta.storage_offset())
    return Place(start, tuple(matrix.shape), tuple(matrix.stride()))
