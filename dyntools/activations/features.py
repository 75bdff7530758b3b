"""Features: what enters the linear layers, for an even selection of rows, and its spectrum.

    Φ (n, d), s its singular values, p_i = s_i / Σ s
    effective rank exp(-Σ p ln p)      above: how many s_i / √n are above 0.01 (Lyle et al. 2022)
    variance: how few directions of the centred Φ hold a share of its variance

A row is one position of one example. ROWS of them are kept, so no rank is above that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROWS = 512  # of one site: its spectrum then takes 0.05 s of one core; chosen
SPREAD = 7919  # a prime, so that positions change from example to example; chosen
LYLE = 0.01  # Lyle et al. 2022
SHARES = (50, 90, 99)  # per cent of the variance; chosen, the last two as for LoRA ranks


@dataclass(eq=False)
class Features:
    """rows: those kept. examples: of the whole probe, over which they are spread."""

    examples: int
    rows: list[Tensor] = field(default_factory=list)
    refused: str = ""

    def add(self, x: Tensor, numbers: range) -> None:
        """x: (b, …, d), or (b · k, …, d)."""
        if self.refused:
            return
        if x.ndim < 2 or len(x) % len(numbers):
            self.refused = "the first axis of its input does not count the examples"
            return
        if self.rows and x.shape[-1] != self.rows[0].shape[-1]:
            self.refused = "the width of its input changes from batch to batch"
            return
        x = x.detach().reshape(len(numbers), -1, x.shape[-1])
        if self.examples > ROWS:  # one position of an even selection of examples
            number = torch.arange(numbers[0], numbers[-1] + 1)
            at = number * ROWS // self.examples != (number - 1) * ROWS // self.examples
            rows_of = at.nonzero()[:, 0]
            position = (SPREAD * number[rows_of]) % x.shape[1]
            found = x[rows_of.to(x.device), position.to(x.device)]
        else:  # some positions of each example
            each = min(ROWS // self.examples, x.shape[1])
            at = torch.arange(each) * x.shape[1] // each
            found = x[:, at.to(x.device)].reshape(-1, x.shape[-1])
        if len(found):
            self.rows.append(found.clone())


@dataclass(frozen=True)
class Spectrum:
    """Of one site."""

    effective_rank: float
    centred: float
    above: int
    variance: Mapping[int, int]
    rows: int
    width: int


def spectrum(features: Features) -> Spectrum | None:
    """None where the features are not finite or all zero. In float64."""
    phi = torch.cat(features.rows).double().cpu().numpy()
    if not np.isfinite(phi).all() or not phi.any():
        return None
    s, t = _singular_values(phi), _singular_values(phi - phi.mean(0))
    share = np.cumsum(t**2) / max(float((t**2).sum()), np.finfo(np.float64).tiny)
    return Spectrum(
        effective_rank=_effective_rank(s),
        centred=_effective_rank(t),
        above=int((s / math.sqrt(len(phi)) > LYLE).sum()),
        variance={q: int(np.searchsorted(share, q / 100 - 1e-12)) + 1 for q in SHARES},
        rows=len(phi),
        width=phi.shape[1],
    )


def _singular_values(phi: NDArray[np.float64]) -> NDArray[np.float64]:
    """In descending order; by the smaller of both Gram matrices, so small ones to 1e-8 of s_1."""
    gram = phi @ phi.T if len(phi) <= phi.shape[1] else phi.T @ phi
    return np.asarray(np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0.0))[::-1])


def _effective_rank(s: NDArray[np.float64]) -> float:
    """NaN where there is nothing: all rows equal, centred."""
    s = np.where(s > 1e-7 * s.max(initial=0.0), s, 0.0)  # below: rounding of the Gram matrix
    if not s.any():
        return math.nan
    p = s[s > 0.0] / s.sum()
    return float(np.exp(-(p * np.log(p)).sum()))
