"""Probes: independent random vectors of one seed, made again whenever needed instead of kept."""

from __future__ import annotations

import torch
from torch import Tensor

from dyntools.linalg.operator import Operator

STRIDE = 1_000_003  # so that seeds 0 and 1 share no vector (a prime; chosen)


def normals(operator: Operator, seed: int, i: int) -> Tensor:
    """The i-th standard normal vector (n,) of a seed."""
    return operator.normal(seed * STRIDE + i)


def signs(operator: Operator, seed: int, i: int) -> Tensor:
    """The i-th Rademacher vector (n,) of a seed."""
    return operator.signs(seed * STRIDE + i)


def size(operator: Operator) -> int:
    """The number of coordinates over all processes."""
    local = torch.tensor([float(operator.size)], dtype=torch.float64, device=operator.device)
    return int(operator.reduce(local))
