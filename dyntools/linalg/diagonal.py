"""Diagonal of an operator from products with random signs.

    d ≈ mean z ∘ A z,    var d_i = Σ_{j≠i} A_ij² / probes

z Rademacher, so that z ∘ z = 1. Bekas, Kokiopoulou & Saad 2007, An estimator for the diagonal of a
matrix, doi:10.1016/j.apnum.2007.01.003. Mean and spread are carried along (Welford 1962): five
vectors at any number of probes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dyntools.linalg.operator import Operator
from dyntools.linalg.probes import signs


@dataclass(frozen=True, eq=False)
class Diagonal:
    """values, standard_errors: (n,) in the operator's dtype, on its device; errors NaN from one
    probe."""

    values: Tensor
    standard_errors: Tensor
    products: int


def diagonal(operator: Operator, probes: int, seed: int = 0) -> Diagonal:
    """The diagonal (n,), one product per probe."""
    mean = torch.zeros(operator.size, dtype=operator.dtype, device=operator.device)
    spread = torch.zeros_like(mean)  # Σ (sample − mean)²
    for i in range(probes):
        probe = signs(operator, seed, i)
        off = operator(probe).mul_(probe).sub_(mean)
        mean.add_(off, alpha=1 / (i + 1))
        spread.addcmul_(off, off, value=i / (i + 1))
    if probes < 2:
        return Diagonal(mean, torch.full_like(mean, torch.nan), probes)
    return Diagonal(mean, spread.div_(probes * (probes - 1)).sqrt_(), probes)
