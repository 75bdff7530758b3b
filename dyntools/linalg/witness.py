"""Witness: what a Krylov basis cannot have overlooked.

An eigenvector z with A z = λ z has coordinates c = Vᵀz in a Lanczos basis, and A V = V T + β v eᵀ
fixes them up to scale for any λ:

    (T − λ) c = −β (vᵀz) e_j,        |c|² + (vᵀz)² ≤ 1

So the share c_1² of z in the start vector is at most 1/K(λ) (Christoffel's bound on a point mass:
Szegő 1939, Orthogonal Polynomials, section 3.41). A random start has c_1² ≈ 1/n. Where K(λ) is far
above n, an eigenvalue λ is as good as ruled out; where it is not, nothing has been seen of it yet.
At a restart the newest vector is kept, and the bound goes on from its coordinate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

# A coordinate of the start below LUCK/√n escapes the bound: 0.8·LUCK of all random starts, for
# one given direction. On 300 spectra of clusters 1e-6 to 1e-1 wide no reported error was too small
# at 0.1, 5 of 1693 were at 0.3, and 152 with r²/gap alone (measured).
LUCK = 0.1
GRID = 17  # radii tried between r²/gap and r (chosen)


@dataclass(frozen=True, eq=False)
class Cycle:
    """One projected problem: eigenvalues (j,), the last row of its eigenvectors and that of the
    cycle's first new vector (j,), and β."""

    values: Vector
    last: Vector
    first: Vector
    beta: float

    def log_growth(self, points: Vector) -> Vector:
        """log (vᵀz)² / c_first² for an eigenvector at each point λ (m,)."""
        share = self.beta * np.abs(self._poles(points) @ (self.first * self.last))
        return np.asarray(-2 * np.log(np.maximum(share, np.finfo(np.float64).tiny)))

    def log_spread(self, points: Vector) -> Vector:
        """log (|c|² + (vᵀz)²) / (vᵀz)² for an eigenvector at each point λ (m,)."""
        return np.asarray(np.log1p((self.beta * self._poles(points)) ** 2 @ self.last**2))

    def _poles(self, points: Vector) -> NDArray[np.float64]:
        away = self.values - points[:, None]  # (m, j)
        least = 1e-15 * float(np.abs(self.values).max()) + 1e-150
        return np.asarray(1.0 / np.where(np.abs(away) < least, least, away))


@dataclass(frozen=True, eq=False)
class Witness:
    """The cycles since the start vector, and log of 1/c_1² as expected of that start."""

    cycles: list[Cycle]
    log_rarity: float

    def log_kernel(self, points: Vector) -> Vector:
        """log K(λ) at each point (m,)."""
        growth = np.sum([cycle.log_growth(points) for cycle in self.cycles], axis=0)
        return np.asarray(growth + self.cycles[-1].log_spread(points))

    def excludes(self, points: Vector, luck: float = LUCK) -> NDArray[np.bool_]:
        """Whether an eigenvalue at each point (m,) would have shown itself, had the start at least
        `luck` of the expected share in it."""
        return np.asarray(self.log_kernel(points) >= self.log_rarity - 2 * np.log(luck))

    def resolved(self, values: Vector, errors: Vector, residuals: Vector) -> Vector:
        """The least distance ≥ errors from each value (k,) beyond which, up to the residual,
        another eigenvalue is ruled out: two closer than that still look like one."""
        low = np.maximum(errors, np.finfo(np.float64).tiny)
        high = np.maximum(residuals, low)
        radii = low[:, None] * (high / low)[:, None] ** np.linspace(0, 1, GRID)  # (k, GRID)
        sides = np.stack([values[:, None] - radii, values[:, None] + radii])
        clear = np.all(self.excludes(sides.ravel()).reshape(sides.shape), axis=0)  # (k, GRID)
        beyond: NDArray[np.bool_] = np.minimum.accumulate(clear[:, ::-1], axis=1)[:, ::-1]
        first = np.where(beyond.any(1), beyond.argmax(1), GRID - 1)
        return np.asarray(
            np.where(residuals > errors, radii[np.arange(values.size), first], errors)
        )
