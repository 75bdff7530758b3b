"""Features: what enters the linear layers, for an even selection of rows, and its spectrum.

    Φ (n, d), s its singular values, p_i = s_i / Σ s
    effective rank exp(-Σ p ln p)      above: how many s_i / √n are above 0.01 (Lyle et al. 2022)
    variance: how few directions of the centred Φ hold a share of its variance

A row is one position of one example. ROWS of them are kept, so no rank is above that. Beside them
stand the groups of their examples, for standard errors, and the weight that they are multiplied by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigvalsh_tridiagonal
from scipy.linalg.lapack import dsytrd, dsytrd_lwork
from torch import Tensor

from dyntools.activations.patterns import drawn_groups
from dyntools.activations.places import Place, place_of
from dyntools.activations.selection import evenly_chosen
from dyntools.activations.watching import Product
from dyntools.linalg.spectrum import THREADS

Matrix = NDArray[np.float64]

ROWS = 256  # of one site: its spectrum then takes 3 ms of one core; chosen
SPREAD = 7919  # a prime, so that positions change from example to example; chosen
LYLE = 0.01  # Lyle et al. 2022
SHARES = (50, 90, 99)  # per cent of the variance; chosen, the last two as for LoRA ranks


OF_INPUT = "the first axis of its input does not count the examples"


@dataclass(eq=False)
class Features:
    """rows: those kept. examples: of the whole probe, over which they are spread.

    groups: of the examples of the rows, as in `patterns`. weight: (k, d) of the product; steady:
    whether it is the same for all pieces.
    """

    examples: int
    rows: list[Tensor] = field(default_factory=list)
    groups: list[Tensor] = field(default_factory=list)
    weight: Tensor | Place | None = None
    steady: bool = True
    refused: str = ""

    def add(self, product: Product, numbers: range) -> None:
        """x of the product: (b, …, d), or (b · k, …, d)."""
        if self.refused:
            return
        x = product.x
        if x.ndim < 2 or len(x) % len(numbers):
            self.refused = OF_INPUT
            return
        if not x.numel():
            return  # as an expert to which no token went
        if self.rows and x.shape[-1] != self.rows[0].shape[-1]:
            self.refused = "the width of its input changes from batch to batch"
            return
        self._weigh(product.weight.detach())
        x = x.detach().reshape(len(numbers), -1, x.shape[-1])
        at, groups = _selected(self.examples, numbers, x.shape[1])
        if len(at):
            self.rows.append(x.reshape(-1, x.shape[-1]).index_select(0, at.to(x.device)))
            self.groups.append(groups)

    def settle(self, theta: Tensor) -> None:
        """Note where the weight lies in the parameters (n,) instead of holding these."""
        if isinstance(self.weight, Tensor):
            self.weight = place_of(self.weight, theta) or self.weight

    def _weigh(self, weight: Tensor) -> None:
        if self.weight is None:
            self.weight = weight
        elif self.steady and isinstance(self.weight, Tensor):
            same = weight.data_ptr() == self.weight.data_ptr() and weight.shape == self.weight.shape
            self.steady = same or torch.equal(weight, self.weight)


@lru_cache(maxsize=8)  # the same for most sites of a piece
def _selected(examples: int, numbers: range, positions: int) -> tuple[Tensor, Tensor]:
    """Which rows of (b · positions, d) are kept, and the groups of their examples."""
    number = torch.arange(numbers.start, numbers.stop)
    if examples > ROWS:  # one position of an even selection of examples
        number = number[evenly_chosen(number, examples, ROWS)]
        position = SPREAD * number
    else:  # some positions of each example
        each = min(ROWS // examples, positions)
        within = (torch.arange(each) * positions // each).repeat(len(number))
        number = number.repeat_interleave(each)
        position = SPREAD * number + within
    position = position % positions
    return (number - numbers.start) * positions + position, drawn_groups(examples)[number]


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
    with THREADS.limit(limits=1, user_api="blas"):
        s, t = singular_values(phi)
    share = np.cumsum(t**2) / max(float((t**2).sum()), np.finfo(np.float64).tiny)
    return Spectrum(
        effective_rank=_effective_rank(s),
        centred=_effective_rank(t),
        above=int((s / math.sqrt(len(phi)) > LYLE).sum()),
        variance={q: int(np.searchsorted(share, q / 100 - 1e-12)) + 1 for q in SHARES},
        rows=len(phi),
        width=phi.shape[1],
    )


def singular_values(phi: Matrix) -> tuple[Matrix, Matrix]:
    """Those of Φ (n, d) and of Φ - mean, in descending order, both to 1e-8 of their largest.

    The smaller of both Gram matrices is made tridiagonal once for both: turned so that its first
    axis is the one that centring changes, and which that leaves alone. As rows, that is 1/√n, and
    without it the rest is centred; as columns, the mean μ, and n |μ|² on it is what centring takes.
    """
    n, d = phi.shape
    mean = phi.mean(0)
    if n <= d:
        turned = _turned(phi, np.full(n, 1 / math.sqrt(n)))
        diagonal, beside = _tridiagonal(turned @ turned.T)
        centred = diagonal[1:], beside[1:]
    else:
        rows = phi - mean
        gram, size = rows.T @ rows, float(np.linalg.norm(mean))
        if size > 0.0:
            gram = _turned(_turned(gram, mean / size).T, mean / size)
        diagonal, beside = _tridiagonal(gram)
        centred = diagonal.copy(), beside
        diagonal[0] += n * size**2
    return _roots(diagonal, beside), _roots(*centred)


def _turned(matrix: Matrix, axis: Matrix) -> Matrix:
    """The rows reflected so that this unit vector becomes the first axis, or its opposite."""
    v = axis.copy()
    v[0] += math.copysign(1.0, axis[0])
    return np.asarray(matrix - np.outer(v / abs(v[0]), v @ matrix))


def _tridiagonal(gram: Matrix) -> tuple[Matrix, Matrix]:
    """Its diagonal and the one beside, by reflections that leave the first axis alone."""
    work, _ = dsytrd_lwork(len(gram), lower=1)
    _, diagonal, beside, _, _ = dsytrd(gram, lower=1, lwork=int(work))
    return diagonal, beside


def _roots(diagonal: Matrix, beside: Matrix) -> Matrix:
    if not len(diagonal):
        return np.zeros(0)
    if len(diagonal) == 1:
        return np.sqrt(np.maximum(diagonal, 0.0))
    values = eigvalsh_tridiagonal(diagonal, beside, lapack_driver="sterf")
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[::-1])


def _effective_rank(s: Matrix) -> float:
    """NaN where there is nothing: all rows equal, centred."""
    s = np.where(s > 1e-7 * s.max(initial=0.0), s, 0.0)  # below: rounding of the Gram matrix
    if not s.any():
        return math.nan
    p = s[s > 0.0] / s.sum()
    return float(np.exp(-(p * np.log(p)).sum()))
