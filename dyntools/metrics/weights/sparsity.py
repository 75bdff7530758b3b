"""Sparsity: the PQ index of each parameter tensor, and its share of near-zero values.

    I_{p,q}(w) = 1 - d^(1/q - 1/p) |w|_p / |w|_q        p = 1/2, q = 1, d values

which is 1 - (mean √|w|)² / mean |w|: 0 when all magnitudes are equal, 1 - 1/d when one value holds
everything; 0.153 for Gaussian weights (`null`). A larger index means more can be pruned.
`near_zero` is the share of |w| < 1e-3 rms(w), 8e-4 for Gaussian weights.

Diao et al. 2023, Pruning deep neural networks from a sparsity perspective, arXiv:2302.05601; p and
q as in its experiments.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dyntools.linalg.blockwise import blocks, norm
from dyntools.metrics.layers import Row, collect, failed
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot

# 1 - E[√|x|]² / E|x| of a standard Gaussian x.
GAUSSIAN = 1.0 - math.gamma(0.75) ** 2 / math.sqrt(math.pi)
NEAR_ZERO = 1e-3  # of the rms; chosen, no source


def pq_index(tensor: Tensor) -> tuple[float, float]:
    """The PQ index with p = 1/2, q = 1, and the share of near-zero values."""
    roots = ones = near = 0.0
    limit = NEAR_ZERO * norm(tensor) / math.sqrt(tensor.numel())
    for block in blocks(tensor):
        size = block.abs()
        roots += float(size.sqrt().sum())
        ones += float(size.sum())
        near += float((size < limit).sum())
    count = tensor.numel()
    index = 1.0 - roots * roots / (count * ones)
    return max(0.0, index), near / count  # rounding puts equal values a hair below 0


def measure(snapshot: Snapshot) -> Measurement:
    """PQ index of every parameter."""

    def row(name: str) -> Row:
        tensor = snapshot.tensor(name)
        size = norm(tensor)
        if not 0.0 < size < math.inf:
            return failed("the tensor is zero" if size == 0.0 else "the tensor holds NaN or inf")
        index, near_zero = pq_index(tensor)
        return Row(index, beside={"near_zero": near_zero, "null": GAUSSIAN})

    return collect({name: row(name) for name in snapshot.params}, beside=("near_zero", "null"))


METRIC = Metric(
    name="sparsity",
    group="weights",
    version=1,
    measure=measure,
    needs=("params",),
    dims=("layer",),
    unit="1",
    what="PQ index of each parameter tensor",
    paper="Diao et al. 2023, arXiv:2302.05601",
    cost="one reading of the weights",
    layerwise=True,
)
