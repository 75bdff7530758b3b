"""Update SNR: how far the mean of a weight's gradients stands out of their spread, as Adam sees it.

    value = √ mean (m̂²/v̂)        over the weights with v > 0
    null  = 1/√n_eff(β1, t)       n_eff(β, t) = (1-β^t)(1+β) / ((1+β^t)(1-β))

|m̂|/√v̂ is what Adam moves a weight by, in units of the learning rate; Kingma & Ba call it the
signal-to-noise ratio. 1 where all gradients have agreed. Gradients that are independent noise about
zero give E m̂² = σ²/n_eff(β1, t) and E v̂ = σ², hence the null: 1 at the first step, √((1-β1)/(1+β1))
in the end, 0.229 at β1 = 0.9. It holds for every distribution of variance σ², but for what m̂ and v̂
have in common while v̂ is the mean of few gradients.

The RMS, not the median: it is the one whose null needs no distribution, and no outlier can carry it
off, for |m̂|/√v̂ is bounded (7.3 at β1 = 0.9, β2 = 0.999).

Kingma & Ba 2015, Adam, section 2.1, arXiv:1412.6980; the null is ours.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dyntools.linalg.blockwise import norm
from dyntools.metrics.layers import Row, failed
from dyntools.metrics.metric import Metric
from dyntools.metrics.optimizer.denominator import UNSEEN, first_moment, precision, root
from dyntools.metrics.optimizer.quantiles import LEVELS, quantiles
from dyntools.metrics.optimizer.tensors import by_tensor
from dyntools.moments import Moments, effective_samples

if TYPE_CHECKING:
    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot


def of_noise(beta1: float, steps: float) -> float:
    """The RMS of m̂/√v̂ after `steps` gradients that are independent noise about zero."""
    return 1.0 / math.sqrt(effective_samples(beta1, steps))


def measure(snapshot: Snapshot) -> Measurement:
    """RMS of m̂/√v̂ of every tensor, with quantiles of |m̂|/√v̂."""
    stored = precision(snapshot)

    def row(name: str, found: Moments) -> Row:
        spread, mean = root(found), first_moment(found)
        if isinstance(spread, str):
            return failed(spread)
        if isinstance(mean, Row):
            return mean
        seen = spread > 0.0
        count = int(seen.sum())
        if not count:
            return failed(UNSEEN, {"zero": 1.0})
        ratio = mean.abs_().div_(spread)
        ratio = ratio if count == ratio.numel() else ratio[seen]
        value = norm(ratio) / math.sqrt(count)
        if not math.isfinite(value):
            return failed("the first moment holds NaN or inf")
        beside = {
            **quantiles(ratio),
            "zero": 1.0 - count / seen.numel(),
            "null": of_noise(found.beta1, found.steps),
        }
        return Row(value, beside=beside, method=stored)

    return by_tensor(snapshot, row, beside=(*LEVELS, "zero", "null"))


METRIC = Metric(
    name="update_snr",
    group="optimizer",
    version=1,
    measure=measure,
    needs=("moments",),
    dims=("layer",),
    unit="1",
    what="RMS of Adam's mean gradient over the root of its mean squared gradient",
    paper="Kingma & Ba 2015, arXiv:1412.6980",
    cost="one reading of both moments",
    layerwise=True,
)
