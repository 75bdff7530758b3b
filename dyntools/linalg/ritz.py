"""Ritz values of a small projected matrix: which are good enough, and how far each may be off.

A Ritz pair (θ, u) with residual r = |Au − θu| has a true eigenvalue within r of θ (Weinstein 1934).
Where nothing else of the spectrum lies within `gap` of θ, the eigenvalue is within r²/gap (Kato
1949, Temple 1928; Parlett 1998, The Symmetric Eigenvalue Problem, theorem 11.7.1). The gap is read
from the neighbouring Ritz values, each moved towards θ by its own residual. Two eigenvalues closer
than r may still look like one, so what is reported also has to be resolved (see `witness`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Vector = NDArray[np.float64]
# What counts as |θ| at least when the tolerance is taken, as a share of the largest |θ|: an
# eigenvalue in a bulk around zero has no relative accuracy to reach. MINOR holds for an end of the
# spectrum whose outermost value is itself below it: the smallest of a nearly positive matrix took
# 3 to 13 times the products under FLOOR (measured). Both chosen.
FLOOR, MINOR = 1e-2, 1e-1
# Rounding of the products moves an eigenvalue by less than ROUNDING·ε·max|θ|: ten times the worst
# |(A32 − A64)u| of a top eigenvector u, 1.5·ε·max|θ| (measured, an MLP and a GPT; u·(…)u: 0.4).
ROUNDING = 16.0


@dataclass(frozen=True, eq=False)
class Ritz:
    """Eigenpairs at one end of the spectrum, outermost first.

    values, errors, residuals: float64 (k,), in the operator's unit. A true eigenvalue lies within
        `residuals` of each value for certain, and within `errors` but for an unlucky start: the
        least distance in [r²/gap, r] that the basis resolves, and the rounding of the products.
    converged: (k,), whether the pair met the stopping rule.
    vectors: (k, n), orthonormal rows.
    """

    values: Vector
    errors: Vector
    residuals: Vector
    converged: NDArray[np.bool_]
    vectors: Tensor


@dataclass(frozen=True, eq=False)
class Projection:
    """All Ritz pairs of a basis of j vectors, ascending.

    values, residuals: (j,). errors: min(r, r²/gap), (j,).
    weights: (j, j), row i combines the basis into Ritz vector i.
    scale: the largest |θ|. epsilon: of the operator's dtype.
    """

    values: Vector
    residuals: Vector
    errors: Vector
    weights: NDArray[np.float64]
    scale: float
    epsilon: float

    @property
    def rounding(self) -> float:
        return ROUNDING * self.epsilon * self.scale

    def tolerances(self, rtol: float) -> Vector:
        """What each value may be off by, (j,)."""
        j = self.values.size
        outermost = np.abs(np.where(2 * np.arange(j) < j, self.values[0], self.values[-1]))
        floor = np.where(outermost < MINOR * self.scale, MINOR, FLOOR) * self.scale
        wanted = rtol * np.maximum(np.abs(self.values), floor)
        return np.maximum(wanted, self.rounding)


def project(matrix: NDArray[np.float64], beta: float, epsilon: float) -> Projection:
    """Solve the projected problem (j, j) whose residuals lie along one vector of length beta."""
    values, vectors = np.linalg.eigh(matrix)
    residuals = np.abs(vectors[-1]) * beta
    room = gaps(values, residuals)
    apart = np.isfinite(room) & (room > residuals)  # a single value has no neighbour to tell
    errors = np.divide(residuals**2, room, out=residuals.copy(), where=apart)
    scale = float(np.abs(values).max(initial=0.0))
    return Projection(values, residuals, errors, vectors.T, scale, epsilon)


def gaps(values: Vector, residuals: Vector) -> Vector:
    """Distance of each ascending value (j,) to what may be its nearest neighbour, (j,)."""
    lower = values - np.concatenate([[-np.inf], values[:-1] + residuals[:-1]])
    upper = np.concatenate([values[1:] - residuals[1:], [np.inf]]) - values
    return np.asarray(np.minimum(lower, upper))
