"""Apart: where labels stand that must not overlap, as near to their places as can be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def apart(
    wanted: NDArray[np.float64], distance: float, low: float, high: float
) -> NDArray[np.float64]:
    """Places (n,) in the order of `wanted`, at least `distance` apart, as near to it as can be.

    They stay within low … high if they fit there. Clusters are spread evenly about their mean,
    which is the least-squares answer (pool adjacent violators; Ayer et al. 1955).
    """
    order = np.argsort(wanted, kind="stable")
    slots = np.arange(len(wanted)) * distance
    blocks: list[list[float]] = []  # [sum, count] of wanted - slot, which must not decrease
    for value in np.clip(wanted[order], low, high) - slots:
        blocks.append([float(value), 1.0])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, count = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += count
    level = np.concatenate([np.full(int(count), total / count) for total, count in blocks])
    level = np.clip(level, low, max(high - slots[-1], low))
    places = np.empty_like(wanted)
    places[order] = level + slots
    return places
