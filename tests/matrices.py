"""Matrices whose singular values are known beforehand, and snapshots made of tensors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import hadamard
from torch import Tensor

from dyntools.snapshot import Snapshot, Tensors

Known = tuple[Tensor, NDArray[np.float64]]


def exact(size: int, seed: int, smallest: float = 1e-3) -> Known:
    """A float64 matrix (size, size), size a power of 4, with exactly these singular values.

    H diag(d) Hᵀ / size with the Hadamard matrix H and whole numbers d from 2²⁰ down to a share
    `smallest` of it: every sum is a whole number below 2⁵³, so nothing is rounded.
    """
    rng = np.random.default_rng(seed)
    d = np.round(2.0**20 * smallest ** rng.random(size))
    d[:2] = 2.0**20, np.round(2.0**20 * smallest)
    sign = rng.choice([-1.0, 1.0], size)
    h = hadamard(size).astype(np.float64)
    return torch.from_numpy((h * (sign * d)) @ h.T / size), np.sort(d)[::-1]


def prescribed(shape: tuple[int, int], values: NDArray[np.float64], seed: int) -> Tensor:
    """A float64 matrix of this shape with these singular values, up to rounding."""
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.standard_normal((side, len(values))))[0] for side in shape)
    return torch.from_numpy((left * values) @ right.T)


def gaussian(shape: tuple[int, ...], seed: int, scale: float = 1.0) -> Tensor:
    """Independent normal entries, float32."""
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(shape, generator=generator)


def reference(matrix: Tensor) -> NDArray[np.float64]:
    """Singular values by LAPACK in float64."""
    return np.linalg.svd(matrix.double().numpy(), compute_uv=False)


def snapshot(
    params: Mapping[str, Tensor],
    *,
    step: int = 100,
    initial: Mapping[str, Tensor] | None = None,
    previous: Mapping[str, Tensor] | None = None,
    previous_step: int = 90,
) -> Snapshot:
    """A snapshot of tensors in memory, with the initial and the previous one where given."""
    return Snapshot(
        step,
        Tensors.of(params),
        initial=None if initial is None else Snapshot(0, Tensors.of(initial)),
        previous=None if previous is None else Snapshot(previous_step, Tensors.of(previous)),
    )
