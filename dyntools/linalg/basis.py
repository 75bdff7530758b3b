"""Basis: the orthonormal vectors of a Krylov method, kept on the device or in CPU memory.

    w ← w − V Vᵀ w        classical Gram-Schmidt, again where w lost more than 30 % of its length

"Twice is enough": Daniel, Gragg, Kaufman & Stewart 1976, doi:10.1090/S0025-5718-1976-0431641-8;
Giraud, Langou & Rozložník 2005. With `offload` the vectors lie in CPU memory (pinned where the
operator is on a GPU) and travel in blocks; without it nothing is moved or copied.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dyntools.linalg.operator import Operator
from dyntools.linalg.vectors import inner, norm, subtract

KEPT = 0.7  # 1/√2 as in Daniel et al. 1976: below it a pass may leave more than rounding behind
BLOCK = 4  # vectors moved at once when offloaded (chosen: few copies, little memory)
COLUMNS = 1 << 18  # coordinates rotated at once (chosen: 80 MB of scratch for 80 vectors)


class Basis:
    """Room for `most` rows of the operator's length; the first `count` are in use."""

    def __init__(self, operator: Operator, most: int, *, offload: bool = False) -> None:
        self.operator, self.count = operator, 0
        self.away = offload
        self.epsilon = float(torch.finfo(operator.dtype).eps)
        home = torch.device("cpu") if offload else operator.device
        pinned = offload and operator.device.type == "cuda"
        self.rows = torch.empty(
            most, operator.size, dtype=operator.dtype, device=home, pin_memory=pinned
        )

    def __getitem__(self, i: int) -> Tensor:
        """Row i (n,) on the operator's device; not to be changed."""
        return self.rows[i].to(self.operator.device, non_blocking=self.away)

    def append(self, vector: Tensor, length: float) -> None:
        """Take vector (n,) / length as the next row."""
        if self.away:
            self.rows[self.count].copy_(vector / length)
        else:
            torch.div(vector, length, out=self.rows[self.count])
        self.count += 1

    def orthogonalise(self, vector: Tensor, length: float) -> tuple[NDArray[np.float64], float]:
        """Make vector (n,) of that length orthogonal to the rows, in place.

        Returns the coefficients removed (count,) and the length left.
        """
        removed = np.zeros(self.count)
        for _ in range(3):  # a third pass only where the second met nothing but rounding
            coefficients = self.coefficients(vector)
            self._subtract(vector, coefficients)
            removed += coefficients.cpu().numpy()
            before, length = length, self.norm(vector)
            if not length < KEPT * before:  # also ends on NaN
                break
        return removed, length

    def coefficients(self, vector: Tensor) -> Tensor:
        """The inner products (count,) of the rows with vector (n,), in float64."""
        parts = [inner(block, vector) for _, block in self._blocks()]
        return self.operator.reduce(torch.cat(parts))

    def norm(self, vector: Tensor) -> float:
        return float(norm(vector, self.operator.reduce))

    def combine(self, weights: NDArray[np.float64]) -> Tensor:
        """weights (m, count) → the m combinations of the rows (m, n), where the rows lie."""
        return self._weights(weights) @ self.rows[: self.count]

    def rotate(self, weights: NDArray[np.float64]) -> None:
        """Replace the rows by their combinations, weights (m, count), m ≤ count, in place."""
        turn = self._weights(weights)
        for piece in torch.split(self.rows, COLUMNS, 1):
            piece[: len(turn)] = turn @ piece[: self.count]
        self.count = len(turn)

    def _subtract(self, vector: Tensor, coefficients: Tensor) -> None:
        for first, block in self._blocks():
            subtract(vector, coefficients[first : first + len(block)], block)

    def _blocks(self) -> Iterator[tuple[int, Tensor]]:
        used = self.rows[: self.count]
        if not self.away:
            yield 0, used
            return
        for first in range(0, self.count, BLOCK):
            block = used[first : first + BLOCK]
            yield first, block.to(self.operator.device, non_blocking=True)

    def _weights(self, weights: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(weights)).to(self.rows)


def width_for(memory: int, size: int, itemsize: int, k: int) -> int:
    """The largest basis width whose vectors fit in `memory` bytes; never below the least, k + 3.

    Counted are width + 1 basis vectors and the k vectors of the result, each of `size` entries.
    Where even the least width does not fit, the least is returned: compare
    `(width + 1 + k) * size * itemsize` with the limit.
    """
    rows = memory // max(size * itemsize, 1)
    return max(rows - 1 - k, k + 3)
