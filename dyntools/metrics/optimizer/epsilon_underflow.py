"""Epsilon underflow: the share of weights whose gradients are too small for Adam's eps.

    value = share of weights with √v̂ < eps        near: eps ≤ √v̂ < 10 eps        above: the rest
    zero  = share with v = 0, a part of the value
    rms_ratio = √(mean v̂) / eps

In m̂/(√v̂ + eps) a weight with √v̂ = eps moves half as far as Adam means it to, one at 10 eps 9 %
less, one far below it in proportion to its gradient, as under SGD. Where v is exactly zero no
gradient has come since it was last below what the dtype can hold: tokens that were never seen.

Wortsman et al. 2023, Small-scale proxies for large-scale Transformer training instabilities,
arXiv:2309.14322 (RMS of the gradient against eps); Everett et al. 2024, Scaling exponents across
parameterizations and optimizers, arXiv:2407.05872. The bound of tenfold is chosen, no source.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dyntools.linalg.blockwise import norm
from dyntools.metrics.layers import Row, failed
from dyntools.metrics.metric import Metric
from dyntools.metrics.optimizer.denominator import precision, root
from dyntools.metrics.optimizer.tensors import by_tensor
from dyntools.moments import Moments

if TYPE_CHECKING:
    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot

NEAR = 10.0  # times eps: a step 9 % too short; chosen, no source
COMPANIONS = ("near", "above", "zero", "rms_ratio", "eps")


def measure(snapshot: Snapshot) -> Measurement:
    """Share of weights with √v̂ below eps, of every tensor."""
    stored = precision(snapshot)

    def row(name: str, found: Moments) -> Row:
        size = root(found)
        if isinstance(size, str):
            return failed(size)
        count, eps = size.numel(), found.eps
        below, below_near = int((size < eps).sum()), int((size < NEAR * eps).sum())
        rms = norm(size) / math.sqrt(count)
        beside = {
            "near": (below_near - below) / count,
            "above": 1.0 - below_near / count,
            "zero": int((size == 0.0).sum()) / count,
            "rms_ratio": rms / eps if eps else math.nan,
            "eps": eps,
        }
        return Row(below / count, beside=beside, method=stored)

    return by_tensor(snapshot, row, beside=COMPANIONS)


METRIC = Metric(
    name="epsilon_underflow",
    group="optimizer",
    version=1,
    measure=measure,
    needs=("moments",),
    dims=("layer",),
    unit="1",
    what="share of weights whose root mean squared gradient is below Adam's eps",
    paper="Wortsman et al. 2023, arXiv:2309.14322; Everett et al. 2024, arXiv:2407.05872",
    cost="one reading of the second moments",
    layerwise=True,
)
