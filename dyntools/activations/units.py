"""Units: the size of every unit's outputs, over examples and positions.

    a_i = mean |h_i|,   largest_i = max h_i,   positive = share of h > 0

A unit is a channel of an image or one of the last axis; see `watching` for which.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dyntools.activations.functions import Kind

BLOCK = 1 << 16  # outputs taken at a time, 256 KiB: they stay in the cache; chosen
EDGE = 0.01  # of the range: how near to a bound an output is saturated; chosen


@dataclass(eq=False)
class Units:
    """magnitude: Σ |h_i| (d,) float64. largest: max h_i (d,). count: terms of each sum.

    positive, saturated: of `entries` that were followed (`patterns`).
    """

    kind: Kind
    magnitude: Tensor | None = None
    largest: Tensor | None = None
    count: int = 0
    positive: int = 0
    saturated: int = 0
    entries: int = 0
    refused: str = ""

    def add(self, output: Tensor, axis: int, part: Tensor, on: Tensor) -> None:
        """axis: which one counts the units. part, on: the outputs followed, which are positive."""
        if self.refused:
            return
        if output.ndim < 2:
            self.refused = "its output has one axis only"
            return
        rows = output.movedim(axis, -1)
        if self.magnitude is not None and rows.shape[-1] != len(self.magnitude):
            self.refused = "its number of units changes from batch to batch"
            return
        found = self._magnitude(rows)
        largest = rows.amax(list(range(rows.ndim - 1)))
        if self.magnitude is None or self.largest is None:
            self.magnitude, self.largest = found, largest
        else:
            self.magnitude = self.magnitude + found
            self.largest = torch.maximum(self.largest, largest)
        self.count += output.numel() // rows.shape[-1]
        self.entries += part.numel()
        self.positive += round(float(on.sum()))
        if self.kind.is_bounded:
            width = EDGE * (self.kind.high - self.kind.low)
            low, high = self.kind.low + width, self.kind.high - width
            self.saturated += int(torch.count_nonzero((part < low) | (part > high)))

    def _magnitude(self, rows: Tensor) -> Tensor:
        """Σ |h_i| of (b, …, d): in the precision of the pass over each BLOCK, else in float64."""
        total = rows.new_zeros(rows.shape[-1], dtype=torch.float64)
        axes = list(range(rows.ndim - 1))
        each = max(BLOCK * len(rows) // rows.numel(), 1)
        for first in range(0, len(rows), each):
            part = rows[first : first + each]
            total += (part if self.kind.name in ("relu", "relu6") else part.abs()).sum(axes)
        return total

    @property
    def shares(self) -> dict[str, float]:
        """`dead` where a negative input passes nothing on, `saturated` where there are bounds."""
        assert self.largest is not None
        dead = float((self.largest <= 0).double().mean()) if self.kind.is_gate else math.nan
        full = self.saturated / self.entries if self.kind.is_bounded else math.nan
        return {"dead": dead, "active": self.positive / self.entries, "saturated": full}

    def scores(self) -> Tensor:
        """s_i = a_i / (mean_j a_j + 1e-9) (d,), as Sokar et al. and their code."""
        assert self.magnitude is not None
        mean = self.magnitude / self.count
        return mean / (mean.mean() + 1e-9)
