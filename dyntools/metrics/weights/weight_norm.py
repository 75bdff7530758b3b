"""Weight norm: the Frobenius norm of each parameter tensor.

    value = √Σ w²,    rms = value / √(number of values)

Every parameter, biases and norms as well. `initial` and `ratio_to_initial` compare with the weights
before training: norms that keep growing mean that the effective learning rate keeps falling where
a norm follows, and that weight decay is too weak to balance the updates.

RMS as the scale that matters: Blake et al. 2024, u-μP, arXiv:2407.17465; growth: Krogh & Hertz
1992, A simple weight decay can improve generalization, NIPS 4.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dyntools.linalg.blockwise import ROUNDING
from dyntools.metrics.layers import Row, collect, failed, unlike
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot


def initial_norm(snapshot: Snapshot, name: str) -> float:
    """The norm before training, NaN where it is not known."""
    start = snapshot.initial
    if start is None or unlike(snapshot, start, name):
        return math.nan
    return start.norm(name)


def measure(snapshot: Snapshot) -> Measurement:
    """Frobenius norm of every parameter."""

    def row(name: str) -> Row:
        value, start = snapshot.norm(name), initial_norm(snapshot, name)
        if not math.isfinite(value):
            return failed("the tensor holds NaN or inf")
        beside = {
            "rms": value / math.sqrt(max(math.prod(snapshot.params.shapes[name]), 1)),
            "initial": start,
            "ratio_to_initial": value / start if start else math.nan,  # a zero start has no ratio
        }
        return Row(value, value * ROUNDING, beside)

    rows = {name: row(name) for name in snapshot.params}
    return collect(rows, beside=("rms", "initial", "ratio_to_initial"), error=True)


METRIC = Metric(
    name="weight_norm",
    group="weights",
    version=1,
    measure=measure,
    needs=("params",),
    uses=("initial",),
    dims=("layer",),
    unit="weight",
    what="Frobenius norm of each parameter tensor",
    paper="Blake et al. 2024, arXiv:2407.17465",
    cost="one reading of the weights",
    layerwise=True,
)
