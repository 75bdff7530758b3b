"""Krylov: the growing basis of a Lanczos iteration, its restarts and its breakdowns.

    A V_j = V_j T_j + β v_{j+1} e_jᵀ

T is filled with the coefficients that the reorthogonalisation finds anyway, so that it is VᵀAV
after restarts and breakdowns too. A full basis is replaced by its outermost Ritz vectors and the
newest vector: Wu & Simon 2000, Thick-restart Lanczos method, doi:10.1137/S0895479898334605. Where β
is rounding, a random vector orthogonal to the basis goes on in place of v_{j+1}.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dyntools.linalg.basis import Basis
from dyntools.linalg.operator import Operator
from dyntools.linalg.ritz import Projection, project
from dyntools.linalg.vectors import dot
from dyntools.linalg.witness import Cycle, Witness

NOISE = 0.3  # length of the random part of a warm start beside 1 (measured: costs nothing)
BREAKDOWN = 10.0  # β below BREAKDOWN·ε·|A| is rounding: the basis spans an invariant subspace


@dataclass(eq=False)
class Krylov:
    """The growing basis V, its T = VᵀAV and β, the length of what A v_j adds."""

    operator: Operator
    width: int
    size: int
    seed: int
    offload: bool
    products: int = 0
    restarts: int = 0
    fresh: int = 0  # random vectors drawn
    since: int = 0  # products since the last of them
    beta: float = 0.0
    coupling: float = 0.0  # β where A v_j has a component β along v_{j-1} alone
    broken: bool = False
    anchor: int = 0  # the first row of the current cycle
    ended: list[Cycle] = field(default_factory=list)
    rarity: float = 0.0  # log of 1/c_1² expected of an eigenvector's share in the start
    basis: Basis = field(init=False)
    matrix: NDArray[np.float64] = field(init=False)
    projection: Projection = field(init=False)

    def __post_init__(self) -> None:
        self.basis = Basis(self.operator, min(self.width + 1, self.size), offload=self.offload)
        self.matrix = np.zeros((self.width, self.width))
        self.epsilon = float(torch.finfo(self.operator.dtype).eps)

    @property
    def exhausted(self) -> bool:
        return self.projection.values.size == self.size

    def begin(self, start: Tensor | None) -> None:
        if start is not None:
            length = self.basis.norm(start)
            if 0.0 < length < np.inf:
                self.basis.append(start, length)
                self.rarity = float(np.log(self.size / NOISE**2))
                return
        self._draw()

    def step(self) -> bool:
        """One product; False where it is not finite."""
        j = self.basis.count - 1
        newest = self.basis[j]
        vector = self.operator(newest)
        self.products += 1
        self.since += 1
        local = self._subtract_neighbours(vector, newest)
        removed, self.beta = self.basis.orthogonalise(vector, self.basis.norm(vector))
        if not np.isfinite(self.beta):
            return False
        self.matrix[: j + 1, j] = self.matrix[j, : j + 1] = removed + local
        self._extend(vector)
        return True

    @property
    def witness(self) -> Witness | None:
        """What may be said of eigenvalues not seen; None where the basis has just broken down."""
        return None if self.broken else Witness([*self.ended, self._cycle()], self.rarity)

    def restart_if_full(self, largest: int, smallest: int) -> None:
        """Keep the outermost Ritz vectors of a full basis, and the newest vector behind them."""
        if self.projection.values.size < self.width or self.exhausted:
            return
        keep = _kept(self.width, largest, smallest)
        self.ended = [] if self.broken else [*self.ended, self._cycle()]
        self.anchor = len(keep)
        weights = np.zeros((len(keep) + 1, self.width + 1))
        weights[:-1, :-1] = self.projection.weights[keep]
        weights[-1, -1] = 1.0
        self.basis.rotate(weights)
        self.matrix[:] = 0.0
        np.fill_diagonal(self.matrix[: len(keep), : len(keep)], self.projection.values[keep])
        self.coupling = 0.0  # the newest vector now has a coefficient with every row
        self.restarts += 1

    def _subtract_neighbours(self, vector: Tensor, newest: Tensor) -> NDArray[np.float64]:
        """The three-term recurrence first: what the full pass then meets is rounding, and once is
        enough. Returns the coefficients removed."""
        local = np.zeros(self.basis.count)
        local[-1] = float(dot(vector, newest, self.operator.reduce))
        vector.sub_(newest, alpha=local[-1])
        if self.coupling:
            local[-2] = self.coupling
            vector.sub_(self.basis[self.basis.count - 2], alpha=local[-2])
        return local

    def _extend(self, vector: Tensor) -> None:
        """Solve the projected problem, and append vector / β or, after a breakdown, a new start."""
        j = self.basis.count
        matrix = self.matrix[:j, :j]
        whole = j == self.size
        self.broken = whole or self.beta <= BREAKDOWN * self.epsilon * float(np.abs(matrix).max())
        self.beta = 0.0 if self.broken else self.beta
        self.coupling = self.beta
        self.projection = project(matrix, self.beta, self.epsilon)
        if whole:
            return
        if self.broken:
            self._draw()
        else:
            self.basis.append(vector, self.beta)

    def _cycle(self) -> Cycle:
        found = self.projection
        return Cycle(found.values, found.weights[:, -1], found.weights[:, self.anchor], self.beta)

    def _draw(self) -> None:
        """Append a random vector orthogonal to the basis."""
        vector = self.operator.normal(self.seed + 7919 * self.fresh)
        self.fresh += 1
        self.since = 0
        self.ended, self.anchor = [], self.basis.count
        self.rarity = float(np.log(self.size))
        length = self.basis.norm(vector)
        if self.basis.count:
            _, length = self.basis.orthogonalise(vector, length)
        self.basis.append(vector, length)


def _kept(width: int, largest: int, smallest: int) -> list[int]:
    """Which of the ascending Ritz pairs survive a restart: the wanted, and half of the others."""
    spare = max((width - largest - smallest) // 2, 1)
    below = spare * smallest // (largest + smallest)
    low = smallest + below
    high = min(largest + spare - below, width - 1 - low)
    return [*range(low), *range(width - high, width)]
