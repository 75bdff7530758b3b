"""Effective learning rate: what Adam multiplies the mean gradient of each weight by.

    lr_i = lr / (√v̂_i + eps)        value = its median over the weights

A weight that hardly receives gradients has a rate that is thousands of times the others'; AdaBound
clips such rates from above and below, AdaMod holds them to their own running mean. A step is small
all the same as long as m̂ is as small as √v̂; the danger is a gradient that comes suddenly.

Luo et al. 2019, Adaptive gradient methods with dynamic bound of learning rate (AdaBound),
arXiv:1902.09843; Ding et al. 2019, An adaptive and momental bound method for stochastic learning
(AdaMod), arXiv:1910.12249.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dyntools.metrics.layers import Row, failed, missing
from dyntools.metrics.metric import Metric
from dyntools.metrics.optimizer.denominator import precision, root
from dyntools.metrics.optimizer.quantiles import LEVELS, quantiles
from dyntools.metrics.optimizer.tensors import by_tensor
from dyntools.moments import Moments

if TYPE_CHECKING:
    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot

COMPANIONS = (*(name for name in LEVELS if name != "q50"), "largest", "lr")


def measure(snapshot: Snapshot) -> Measurement:
    """Median of lr/(√v̂ + eps) of every tensor, with quantiles and the largest."""
    stored = precision(snapshot)

    def row(name: str, found: Moments) -> Row:
        if not math.isfinite(found.lr):
            return missing("the learning rate is not known: the optimizer state holds none")
        size = root(found)
        if isinstance(size, str):
            return failed(size)
        rates = size.add_(found.eps).reciprocal_().mul_(found.lr)
        largest = float(rates.max())
        if not math.isfinite(largest):
            return failed("a second moment is zero and eps is 0: the rate is infinite")
        levels = quantiles(rates)
        beside = {**levels, "largest": largest, "lr": found.lr}
        return Row(levels["q50"], beside=beside, method=stored)

    return by_tensor(snapshot, row, beside=COMPANIONS)


METRIC = Metric(
    name="effective_lr",
    group="optimizer",
    version=1,
    measure=measure,
    needs=("moments",),
    dims=("layer",),
    unit="weight per gradient",
    what="median over the weights of the rate that Adam multiplies the mean gradient by",
    paper="Luo et al. 2019, arXiv:1902.09843; Ding et al. 2019, arXiv:1910.12249",
    cost="one reading of the second moments",
    layerwise=True,
)
