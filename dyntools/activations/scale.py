"""Scale: moments of the entries of a tensor, and how many a format of few bits would lose.

    lost = |x| rounds to zero, or beyond the largest number, among the entries that are not zero

Moments and shares are those of an even selection of at most ENTRIES entries of each piece, the
largest that of all entries. Central moments of pieces are put together by the formulas of Chan,
Golub & LeVeque 1979 and Pébay 2008, Sandia report SAND2008-6212, so nothing cancels. Rounding is to
nearest, ties to even.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dyntools.activations.selection import evenly

ENTRIES = 1 << 14  # of one output of a piece: 1 % of the RMS of outliers, 0.1 % over many; chosen


@dataclass(frozen=True)
class Format:
    """zero: the largest |x| that rounds to zero. over: the largest that rounds to a number."""

    zero: float
    over: float


FORMATS: Mapping[str, Format] = {  # half the least subnormal; the largest and half a step
    "fp16": Format(2.0**-25, math.nextafter(65520.0, 0.0)),
    "bf16": Format(2.0**-134, math.nextafter(2.0**128 - 2.0**119, 0.0)),
    "fp8_e4m3": Format(2.0**-10, 464.0),
    "fp8_e5m2": Format(2.0**-17, math.nextafter(61440.0, 0.0)),
}
BY_ZERO = sorted(FORMATS, key=lambda name: -FORMATS[name].zero)


def largest(one: float, other: float) -> float:
    """Of two; NaN where either is."""
    return other if other > one or math.isnan(other) else one


@dataclass(eq=False)
class Scale:
    """count, mean, and sums of the powers 2 to 4 of x - mean; lost: by format."""

    count: int = 0
    mean: float = 0.0
    powers: tuple[float, float, float] = (0.0, 0.0, 0.0)
    largest: float = 0.0
    zeros: int = 0
    lost: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FORMATS, 0))

    def add(self, output: Tensor) -> None:
        flat = output.detach().reshape(-1)
        least, most = (float(end) for end in torch.aminmax(flat))
        top = max(abs(least), abs(most)) if not math.isnan(least + most) else math.nan
        self.largest = largest(self.largest, top)
        x = evenly(flat, ENTRIES).cpu().double().numpy()
        n, zeros = len(x), len(x) - int(np.count_nonzero(x))
        self.zeros += zeros
        self._lose(np.abs(x), zeros, top)
        with np.errstate(invalid="ignore", over="ignore"):  # of a run that diverges
            mean = float(x.mean())
            deviation = x - mean
            square = deviation * deviation
            second, third = float(square.sum()), float((square * deviation).sum())
            fourth = float((square * square).sum())
        self._join(n, mean, (second, third, fourth))

    def _lose(self, size: NDArray[np.float64], zeros: int, top: float) -> None:
        """Count what the formats lose of entries |x|, so many of them zero, and none above top."""
        for name in BY_ZERO:
            small = int(np.count_nonzero(size <= FORMATS[name].zero)) - zeros
            if not small:
                break  # nor do formats lose any that reach further down
            self.lost[name] += small
        for name, form in FORMATS.items():
            if top > form.over:
                self.lost[name] += int(np.count_nonzero(size > form.over))

    def _join(self, n: int, mean: float, powers: tuple[float, float, float]) -> None:
        a, b = float(self.count), float(n)
        whole, gap = a + b, mean - self.mean
        (a2, a3, a4), (b2, b3, b4) = self.powers, powers
        second = a2 + b2 + gap**2 * a * b / whole
        third = a3 + b3 + gap**3 * a * b * (a - b) / whole**2 + 3 * gap * (a * b2 - b * a2) / whole
        fourth = (
            a4
            + b4
            + gap**4 * a * b * (a * a - a * b + b * b) / whole**3
            + 6 * gap**2 * (a * a * b2 + b * b * a2) / whole**2
            + 4 * gap * (a * b3 - b * a3) / whole
        )
        self.mean += gap * b / whole
        self.count += n
        self.powers = (second, third, fourth)

    @property
    def rms(self) -> float:
        return math.sqrt(self.mean**2 + self.powers[0] / self.count)

    @property
    def kurtosis(self) -> float:
        """E (x - μ)⁴ / σ⁴, 3 of a normal distribution; NaN where all entries are equal."""
        second, _, fourth = self.powers
        return self.count * fourth / second**2 if second > 0.0 else math.nan

    def share(self, form: str) -> float:
        """Of the entries that are not zero, NaN where there are none."""
        there = self.count - self.zeros
        return self.lost[form] / there if there else math.nan
