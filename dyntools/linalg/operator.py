"""Operator: a symmetric matrix known only by its products with vectors.

Vectors are flat tensors (n,) in the operator's dtype, on its device. Where the coordinates are
spread over processes, `n` is the local share and `reduce` adds a small tensor over the processes;
every algorithm here sends its inner products through it, and so runs unchanged on sharded vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

CPU = torch.device("cpu")


def _same(tensor: Tensor) -> Tensor:
    return tensor


@dataclass(frozen=True, eq=False)
class Operator:
    """A symmetric n × n matrix A.

    apply: v (n,) → A v (n,), not changing v and sharing no memory with it.
    reduce: the sum of a small tensor over the processes that share the coordinates.
    draw: seed → standard normal vector (n,); the default draws on the CPU, so that the same seed
        gives the same vector on every device. A sharded one draws the whole and keeps its part.
    """

    apply: Callable[[Tensor], Tensor]
    size: int
    dtype: torch.dtype = torch.float32
    device: torch.device = CPU
    reduce: Callable[[Tensor], Tensor] = _same
    draw: Callable[[int], Tensor] | None = None

    def __call__(self, vector: Tensor) -> Tensor:
        return self.apply(vector)

    def normal(self, seed: int) -> Tensor:
        """A standard normal vector (n,) from a generator of its own."""
        if self.draw is not None:
            return self.draw(seed)
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(self.size, generator=generator).to(self.device, self.dtype)

    def signs(self, seed: int) -> Tensor:
        """A Rademacher vector (n,): ±1 with equal chance, from the signs of a normal one."""
        normal = self.normal(seed)
        return torch.where(normal < 0, -1.0, 1.0).to(self.dtype)
