"""gradient_snr: the signal in the gradient of each tensor against its noise, over examples.

    value = |G|² / tr Σ          of the tensor, Σ the covariance of the gradients of single examples
    q10, median, q90             of G_j² / Σ_jj over its weights
    signal                       share of weights with M G_j² / Σ_jj > 3.84, 0.05 if all is noise

Without the bias of M examples: Ĝ_j² - Σ_jj/M stands for G_j², so that noise alone gives 0 on
average, and a small value may be negative. One over the value is the noise scale of the tensor, in
examples. The ratio of a weight is the GSNR of Liu et al. 2020, Understanding why neural networks
generalize well through GSNR of parameters, arXiv:2001.07384. Two others are also called SNR:
`second_moment_snr` (how even Adam's v is, SlimAdam) and `update_snr` (m̂ over √v̂, over time).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dyntools.metrics.gradients import noise
from dyntools.metrics.gradients.statistics import statistics, told
from dyntools.metrics.layers import Row, collect, failed
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot

LEVEL = 3.841  # the 95 % point of χ² with one degree of freedom
COMPANIONS = ("raw", "q10", "median", "q90", "signal", "zero", "size")
QUANTILES = (("q10", 0.1), ("median", 0.5), ("q90", 0.9))


def measure(snapshot: Snapshot) -> Measurement:
    """|G|²/tr Σ of every tensor with one standard error."""
    found = statistics(snapshot)
    every = noise.by_tensor(found)
    split = found.layout.split
    parts = zip(found.layout.names, split(found.mean), split(found.variance), strict=True)
    rows = {}
    for i, (name, mean, variance) in enumerate(parts):
        trace, squared = float(every.trace[i]), float(every.squared[i])
        if not np.isfinite(trace) or not np.isfinite(squared):
            rows[name] = failed("a gradient is NaN or infinite")
        elif trace == 0.0:
            rows[name] = failed("its gradient is zero for every example")
        else:
            slopes = np.array([-squared / trace**2, 1.0 / trace])
            error = float(np.sqrt(max(slopes @ every.covariance[i] @ slopes, 0.0)))
            beside = _of_weights(mean.reshape(-1), variance.reshape(-1), found.examples)
            raw = squared / trace + 1.0 / found.examples
            rows[name] = Row(squared / trace, error, {"raw": raw, **beside})
    return collect(rows, beside=COMPANIONS, error=True, method=told(found))


def _of_weights(mean: Tensor, variance: Tensor, examples: float) -> dict[str, float]:
    """Quantiles of the corrected ratio of each weight that has a gradient."""
    import torch

    alive = variance > 0.0
    ratio = mean[alive].square() / variance[alive]
    ordered = torch.sort(ratio - 1.0 / examples).values
    return {
        **{name: _quantile(ordered, share) for name, share in QUANTILES},
        "signal": float((examples * ratio > LEVEL).double().mean()),
        "zero": 1.0 - len(ratio) / len(mean),
        "size": float(len(mean)),
    }


def _quantile(ordered: Tensor, share: float) -> float:
    """Between the two nearest in proportion; `torch.quantile` refuses more than 16 million."""
    if not len(ordered):
        return math.nan
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    below, above = float(ordered[low]), float(ordered[min(low + 1, len(ordered) - 1)])
    return below + (place - low) * (above - below)


METRIC = Metric(
    name="gradient_snr",
    group="gradients",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    dims=("layer",),
    unit="1",
    what="squared mean of the gradient over its variance, over examples",
    paper="McCandlish et al. 2018, arXiv:1812.06162; Liu et al. 2020, arXiv:2001.07384",
    cost="2 to 3 gradients, shared by all metrics of gradients by examples",
)
