"""gradient_norm: the length of the gradient of each tensor, and against its weights.

    value = |g_l|        rms = |g_l| / √n_l        share = |g_l|² / |g|²        lars = |w_l| / |g_l|
    global = |g|         spread = lars / median of lars over tensors

|g| is what clipping by the global norm compares with its threshold: Pascanu, Mikolov & Bengio 2013,
On the difficulty of training recurrent neural networks, arXiv:1211.5063. lars is the ratio by
which You, Gitman & Ginsburg 2017, Large batch training of convolutional networks,
arXiv:1708.03888, set the learning rate of a layer; where its spread is wide, one rate suits few.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dyntools.metrics.gradients.source import PROBE, gradient, of_training
from dyntools.metrics.layers import Row, collect, failed, missing
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot

COMPANIONS = ("rms", "share", "lars", "spread", "global", "size")


def measure(snapshot: Snapshot) -> Measurement:
    """|g| of every tensor, read one at a time."""
    norms, weights, rows = {}, {}, {}
    for name in snapshot.params:
        g = gradient(snapshot, name)
        if isinstance(g, str):
            rows[name] = missing(g)
            continue
        norms[name], weights[name] = _length(g), _length(snapshot.tensor(name))
        if not math.isfinite(norms[name]):
            rows[name] = failed("its gradient holds NaN or inf")
        elif not math.isfinite(weights[name]):
            rows[name] = failed("its weights hold NaN or inf")
    whole = math.sqrt(math.fsum(n * n for n in norms.values())) if norms else math.nan
    lars = {n: weights[n] / norms[n] for n in norms if norms[n] > 0.0 and weights[n] > 0.0}
    usual = float(np.median(list(lars.values()))) if lars else math.nan
    for name in norms:
        if name in rows:
            continue
        size = math.prod(snapshot.params.shapes[name])
        beside = {
            "rms": norms[name] / math.sqrt(max(size, 1)),
            "share": (norms[name] / whole) ** 2 if whole > 0.0 else math.nan,
            "lars": lars.get(name, math.nan),
            "spread": lars[name] / usual if name in lars else math.nan,
            "global": whole,
            "size": float(size),
        }
        rows[name] = Row(norms[name], beside=beside)
    ordered = {name: rows[name] for name in snapshot.params}
    return collect(ordered, beside=COMPANIONS, method="" if of_training(snapshot) else PROBE)


def _length(tensor: Tensor) -> float:
    from dyntools.linalg.vectors import norm

    return float(norm(tensor.detach().reshape(-1)))


METRIC = Metric(
    name="gradient_norm",
    group="gradients",
    version=1,
    measure=measure,
    needs=("params", "gradients"),
    dims=("layer",),
    unit="loss / weight",
    what="norm of the gradient of each tensor, and of the weights over it",
    paper="Pascanu et al. 2013, arXiv:1211.5063; You et al. 2017, arXiv:1708.03888",
    cost="one reading of the gradients",
)
