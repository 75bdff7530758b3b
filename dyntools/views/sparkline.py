"""Sparkline: a series of numbers as a word of block characters, as wide as a column of a table.

Tufte, Beautiful Evidence (2006): "data-intense, design-simple, word-sized graphics".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII_BLOCKS = "_.-~=*#@"  # the same heights where the output cannot encode blocks
GAP = " "
ROUNDING = 1e-12  # relative range below which numbers are one


def sparkline(values: ArrayLike, width: int, *, blocks: Sequence[str] = BLOCKS) -> str:
    """The values (n,) in at most `width` characters, from the smallest to the largest of them.

    More values than columns: each column is the mean of its share. NaN is a gap, infinity is drawn
    at the end of the scale, a constant is a line at mid-height.
    """
    columns = _columns(np.asarray(values, dtype=np.float64), width)
    finite = columns[np.isfinite(columns)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    if high - low <= ROUNDING * max(abs(low), abs(high)):
        low = high  # a constant, whose means differ by rounding
    return "".join(_block(float(x), low, high, blocks) for x in columns)


def _columns(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """At most `width` means of neighbours, (min(n, width),); NaN only where a whole share is."""
    if len(values) <= width:
        return values
    shares = np.array_split(values, max(width, 0)) if width > 0 else []
    known = [share[~np.isnan(share)] for share in shares]
    return np.array([share.mean() if len(share) else np.nan for share in known])


def _block(value: float, low: float, high: float, blocks: Sequence[str]) -> str:
    if np.isnan(value):
        return GAP
    if np.isinf(value):
        return blocks[-1] if value > 0 else blocks[0]
    if low == high:
        return blocks[len(blocks) // 2 - 1]
    part = (value / 2 - low / 2) / (high / 2 - low / 2)  # halves: the range itself may overflow
    return blocks[min(int(part * len(blocks)), len(blocks) - 1)]
