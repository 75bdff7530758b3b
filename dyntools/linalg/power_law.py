"""A power law p(λ) ∝ λ^-α fitted to the tail λ ≥ xmin of a sample, on any scale of λ.

    α(xmin) = 1 + n / Σ ln(λ_j / xmin)      over the n values λ_j ≥ xmin
    xmin    = the sample value with the smallest Kolmogorov–Smirnov distance between tail and fit
    standard error of α = (α - 1) / √n

Clauset, Shalizi & Newman 2009, Power-law distributions in empirical data, arXiv:0706.1062,
equations 3.1 and 3.2 and section 3.3. Nothing here depends on the unit of λ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_TAIL = 10  # chosen: the standard error is then a third of α - 1
EQUAL = 1e-9  # mean log-distance from xmin below which a tail is a single value; chosen
CHUNK = 2**18  # entries of the table (candidates, values) at a time; chosen: 2 MB


@dataclass(frozen=True)
class PowerLaw:
    """alpha and its standard error; the distance, size and start of the tail it was fitted to."""

    alpha: float
    error: float
    ks_distance: float
    tail_size: int
    xmin: float


def fit_power_law(values: NDArray[np.float64]) -> PowerLaw | str:
    """The fit to positive values (n,) in any order, or the sentence that says why there is none."""
    if len(values) < LEAST_TAIL:
        return f"{len(values)} values are too few for a power law ({LEAST_TAIL} at least)"
    largest = float(values.max())
    logs = np.sort(np.log(values / largest))
    starts = _candidates(logs)
    sizes = len(logs) - starts
    spans = np.cumsum(logs[::-1])[::-1][starts] - sizes * logs[starts]
    usable = spans > sizes * EQUAL
    if not usable.any():
        return "the values are all equal: there is no tail to fit"
    starts, sizes, spans = starts[usable], sizes[usable], spans[usable]
    slopes = sizes / spans  # α - 1
    distances = _distances(logs, starts, slopes)
    best = int(np.argmin(distances))
    return PowerLaw(
        alpha=1.0 + float(slopes[best]),
        error=float(slopes[best]) / math.sqrt(float(sizes[best])),
        ks_distance=float(distances[best]),
        tail_size=int(sizes[best]),
        xmin=largest * math.exp(float(logs[starts[best]])),
    )


def _candidates(logs: NDArray[np.float64]) -> NDArray[np.intp]:
    """Where a tail may start: at the first of equal values, with enough values above."""
    first = np.flatnonzero(np.diff(logs, prepend=-np.inf) > 0.0)
    return first[first <= len(logs) - LEAST_TAIL]


def _distances(
    logs: NDArray[np.float64], starts: NDArray[np.intp], slopes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Kolmogorov–Smirnov distance of every tail from its own fit, a chunk of tails at a time."""
    count = len(logs)
    rows = max(1, CHUNK // count)
    position = np.arange(count)
    distances = np.empty(len(starts))
    for i in range(0, len(starts), rows):
        start, slope = starts[i : i + rows, None], slopes[i : i + rows, None]
        first = int(start[0, 0])  # nothing before it lies in any tail of this chunk
        inside = position[first:] >= start
        above = np.where(inside, logs[first:] - logs[start], 0.0)
        model = -np.expm1(-slope * above)
        rank = position[first:] - start
        size = count - start
        gap = np.maximum(model - rank / size, (rank + 1) / size - model)
        distances[i : i + rows] = np.where(inside, gap, 0.0).max(axis=1)
    return distances
