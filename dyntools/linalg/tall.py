"""A matrix seen a block of rows at a time, in float64, never copied as a whole.

Every spectrum here belongs to the tall one of W and Wᵀ: both have the same singular values, and the
small square matrices that follow are then as small as they can be. Taking the transpose is free;
not taking it makes a plain singular value decomposition five times slower.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

BLOCK_BYTES = 2**23  # of float64; measured: 4 MB to 16 MB run equally fast


@dataclass(frozen=True, eq=False)
class Tall:
    """`matrix` (rows, columns) with rows ≥ columns, or the difference `matrix - minus`."""

    matrix: Tensor
    minus: Tensor | None = None

    @classmethod
    def of(cls, matrix: Tensor, minus: Tensor | None = None) -> Tall:
        """The matrix or its transpose, whichever is tall."""
        matrix, minus = matrix.detach(), None if minus is None else minus.detach()
        if matrix.shape[0] >= matrix.shape[1]:
            return cls(matrix, minus)
        return cls(matrix.mT, None if minus is None else minus.mT)

    @property
    def rows(self) -> int:
        return self.matrix.shape[0]

    @property
    def columns(self) -> int:
        return self.matrix.shape[1]

    @property
    def on_gpu(self) -> bool:
        """Whether blocks stay where they are; other accelerators have no float64."""
        return self.matrix.device.type == "cuda"

    def blocks(
        self, block_bytes: int = BLOCK_BYTES, *, at_least: int = 1, scale: float = 1.0
    ) -> Iterator[Tensor]:
        """Float64 blocks of rows, `at_least` so many (but the last), divided by `scale`."""
        size = max(at_least, block_bytes // (8 * self.columns))
        for start in range(0, self.rows, size):
            block = self._float64(self.matrix[start : start + size])
            if self.minus is not None:
                block = block - self._float64(self.minus[start : start + size])
            yield block if scale == 1.0 else block / scale

    def largest(self) -> float:
        """The largest absolute entry; NaN or inf if there is one."""
        return float(np.max([float(block.abs().max()) for block in self.blocks()]))

    def _float64(self, block: Tensor) -> Tensor:
        if self.on_gpu:
            return block.double()
        # Widened by NumPy: torch's threads would go on spinning beside those of the product that
        # follows, which made spectra 1.3 times slower on two threads. NumPy knows no bfloat16.
        stored = block.cpu() if block.element_size() >= 4 else block.cpu().float()
        return torch.from_numpy(stored.numpy().astype(np.float64))
