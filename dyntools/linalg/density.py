"""Spectral density by stochastic Lanczos quadrature.

    φ(t) = (1/n) Σ_i δ(t − λ_i) ≈ mean over probes of Σ_j w_j g_σ(t − θ_j),    w_j = s_j1²

θ, s: eigenpairs of the Lanczos matrix T of a random start; g_σ: a Gaussian of width σ. Ubaru, Chen
& Saad 2017, doi:10.1137/16M1104974; Ghorbani, Krishnan & Xiao 2019, arXiv 1901.10159.

The basis is reorthogonalised where it fits the memory given. Where it does not, the three-term
recurrence runs alone: it then finds copies of the outer eigenvalues, but a copy takes its weight
from the original, so that the density stays right (Greenbaum 1989,
doi:10.1016/0024-3795(89)90285-1: the computed T is the exact one of a spectrum that rounding
smears).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dyntools.linalg.basis import Basis
from dyntools.linalg.operator import Operator
from dyntools.linalg.probes import normals, size
from dyntools.linalg.vectors import dot, norm

BREAKDOWN = 10.0  # β below BREAKDOWN·ε·|A| is rounding: the quadrature is exact
CUT = 10.0  # widths beyond which a bell is zero: 1e-22 of its height


@dataclass(frozen=True, eq=False)
class Density:
    """Quadrature of the density, one rule per probe.

    nodes, weights: (probes, steps); weights of a probe add to 1, unused places weigh 0.
    reorthogonalised: whether the whole basis was kept.
    """

    nodes: NDArray[np.float64]
    weights: NDArray[np.float64]
    products: int
    reorthogonalised: bool

    def at(
        self, grid: NDArray[np.float64], width: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The density broadened by Gaussians of standard deviation `width` at each point of the
        grid (m,), and its standard error over the probes (m,), NaN from one probe."""
        away = (grid[None, :, None] - self.nodes[:, None, :]) / width  # (probes, m, steps)
        bells = np.exp(-0.5 * away**2) / (width * np.sqrt(2 * np.pi))
        bells[np.abs(away) > CUT] = 0.0
        curves = np.einsum("pms,ps->pm", bells, self.weights)
        return curves.mean(0), _standard_error(curves)

    def moment(self, power: int) -> tuple[float, float]:
        """The mean of λ^power over the spectrum, and its standard error over the probes."""
        samples = (self.weights * self.nodes**power).sum(1)
        return float(samples.mean()), float(_standard_error(samples[:, None])[0])


def density(
    operator: Operator,
    probes: int = 10,
    steps: int = 90,
    seed: int = 0,
    *,
    memory: int | None = None,
    told: Callable[[int], None] | None = None,
) -> Density:
    """Quadrature rules of `steps` nodes from each of `probes` normal starts.

    probes, steps: 10 and 90 as Ghorbani et al. 2019. memory: bytes that the basis may take; None:
    as many as it needs. told: called with the products so far.
    """
    steps = min(steps, size(operator))
    itemsize = normals(operator, seed, 0).element_size()
    whole = memory is None or (steps + 1) * operator.size * itemsize <= memory
    nodes, weights, products = np.zeros((probes, steps)), np.zeros((probes, steps)), 0
    for i in range(probes):
        basis = Basis(operator, steps) if whole else None
        matrix = _tridiagonal(operator, normals(operator, seed, i), steps, basis)
        products += len(matrix)
        values, vectors = _eigen(matrix)
        nodes[i, : len(matrix)], weights[i, : len(matrix)] = values, vectors[0] ** 2
        if told is not None:
            told(products)
    return Density(nodes, weights, products, whole)


def _tridiagonal(
    operator: Operator, start: Tensor, steps: int, basis: Basis | None
) -> NDArray[np.float64]:
    """T (j, j), j ≤ steps, of the Lanczos process from a start vector (n,)."""
    alphas: list[float] = []
    betas: list[float] = []
    current, previous = start / norm(start, operator.reduce).to(start), None
    for _ in range(steps):
        if basis is not None:
            basis.append(current, 1.0)
        vector = operator(current)
        alphas.append(float(dot(vector, current, operator.reduce)))
        vector.sub_(current, alpha=alphas[-1])
        if previous is not None:
            vector.sub_(previous, alpha=betas[-1])
        beta = float(norm(vector, operator.reduce))
        if basis is not None:
            _, beta = basis.orthogonalise(vector, beta)
        scale = max(np.abs(alphas).max(), max(betas, default=0.0))
        if not beta > BREAKDOWN * np.finfo(str(vector.dtype)[6:]).eps * scale:
            break  # invariant, or not finite
        betas.append(beta)
        previous, current = current, vector.div_(beta)
    off = betas[: len(alphas) - 1]
    return np.diag(alphas) + np.diag(off, 1) + np.diag(off, -1)


def _eigen(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if not np.isfinite(matrix).all():
        return np.full(len(matrix), np.nan), np.full(matrix.shape, np.nan)
    values, vectors = np.linalg.eigh(matrix)
    return values, vectors


def _standard_error(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the mean over the first axis (probes, m) → (m,)."""
    if len(samples) < 2:
        return np.full(samples.shape[1], np.nan)
    return np.asarray(samples.std(0, ddof=1) / np.sqrt(len(samples)))
