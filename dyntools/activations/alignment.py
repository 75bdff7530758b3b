"""Alignment: how much longer W z is than for a random matrix of the same size of entries.

    A = log_n( rms(W z) / (rms(W) rms(z)) ),     W (k, n), the rms over all rows z and outputs

Everett et al. 2024, arXiv:2407.05872. rms(W z)² is at most n² rms(W)² rms(z)² (Cauchy and Schwarz),
so A ≤ 1, with equality where W = u zᵀ. For W Gaussian and apart from z the square of the ratio is
n · q, q a quadratic form on the sphere with mean 1 and

    var q = 2 n (1/p - 1/n) / (k n + 2),     p = (tr S)² / tr S², S = Σ z zᵀ

(exact). With the Gamma law of these moments, right for one row and a large n, ln q has the mean
ψ(a) - ln a and the variance ψ'(a), a = 1 / var q.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dyntools.activations.patterns import GROUPS, jackknife_error

ENTRIES = 1 << 24  # of a weight in float64 at a time: 128 MB; chosen


@dataclass(frozen=True)
class Alignment:
    """value: A; error: its standard error over the examples, NaN where a group of them is empty."""

    value: float
    error: float


@dataclass(frozen=True)
class Null:
    """A of a Gaussian matrix of that shape on these rows: its mean and standard deviation."""

    value: float
    spread: float


def aligned(
    weight: Tensor, rows: Tensor, groups: Tensor, start: Tensor | None = None
) -> Alignment | None:
    """A of a matrix (k, n) on rows (r, n) of examples in these groups (r,), in float64.

    start: (k, n), for the matrix weight - start. None where a size is zero or not finite. To be
    asked for n ≥ 2.
    """
    z = rows.double()
    outputs, entries = torch.zeros_like(z[:, 0]), 0.0
    height = max(ENTRIES // weight.shape[1], 1)
    for first in range(0, len(weight), height):
        w = weight[first : first + height].double()
        if start is not None:
            w = w - start[first : first + height].double()
        entries += float(w.square().sum())
        outputs += (z @ w.T).square().sum(1)
    sums = torch.zeros(2, GROUPS, dtype=torch.float64, device=z.device)
    sums.index_add_(1, groups.to(z.device), torch.stack([outputs, z.square().sum(1)]))
    every = sums.sum(1)
    if not (bool((every > 0).all() & every.isfinite().all()) and 0.0 < entries < math.inf):
        return None
    fan_in, scale = weight.shape[1], 2 * math.log(weight.shape[1])

    def of(sum_of: Tensor) -> Tensor:
        """(2, …): the squares of the outputs and of the rows."""
        return ((sum_of[0] / sum_of[1]).log() - math.log(entries / fan_in)) / scale + 0.5

    error = math.nan
    if bool((torch.bincount(groups, minlength=GROUPS) > 0).all()):
        error = jackknife_error(of(every[:, None] - sums).cpu().numpy())
    return Alignment(float(of(every)), error)


def null_of(rows: Tensor, fan_out: int) -> Null:
    """See the head of this file. To be asked for rows that are finite and not all zero."""
    z, fan_in = rows.double(), rows.shape[1]
    z = z / z.abs().max()
    gram = z @ z.T if len(z) <= fan_in else z.T @ z
    inverse = float(gram.square().sum() / gram.trace() ** 2)  # 1/p
    variance = 2 * fan_in * (inverse - 1 / fan_in) / (fan_out * fan_in + 2)
    scale = 2 * math.log(fan_in)
    if variance < 1e-12:  # all directions alike: every matrix has the same
        return Null(0.5, 0.0)
    a = torch.tensor(1 / variance, dtype=torch.float64)
    off = float(torch.digamma(a) - a.log()) / scale
    return Null(0.5 + off, math.sqrt(float(torch.polygamma(1, a))) / scale)
