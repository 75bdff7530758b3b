"""Effective rank: the exponential of the entropy of the singular values.

    p_i = s_i / Σ s,    erank = exp(-Σ p_i ln p_i),    1 ≤ erank ≤ k,    0 ln 0 = 0

Singular values, not their squares; with squares the same matrix gives another number (0.607 k for a
square Gaussian matrix instead of 0.805 k).
Roy & Vetterli 2007, The effective rank: a measure of effective dimensionality, EUSIPCO.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def effective_rank(values: NDArray[np.float64], error: NDArray[np.float64]) -> tuple[float, float]:
    """Effective rank of singular values (k,) that may be off by `error` (k,), and its own error.

    |η(p) - η(q)| ≤ η(|p - q|) for η(x) = -x ln x and |p - q| ≤ 1/2 bounds the error of the entropy.
    """
    total = float(values.sum())
    share = values / total
    rank = float(np.exp(_entropy_terms(share).sum()))
    off = float(error.sum())
    if off >= total:
        return rank, float(len(values))
    change = np.minimum((error + share * off) / (total - off), 0.5)
    entropy_error = float(_entropy_terms(change).sum())
    return rank, min(rank * float(np.expm1(entropy_error)), float(len(values)))


def _entropy_terms(share: NDArray[np.float64]) -> NDArray[np.float64]:
    return -share * np.log(np.where(share > 0.0, share, 1.0))
