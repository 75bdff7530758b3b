"""Layer rotation: how far each kernel has turned away from its initialisation.

    d_l(t) = 1 - cos(w_l(t), w_l(0)) = | w(t)/|w(t)| - w(0)/|w(0)| |² / 2

w_l: the whole kernel, flattened; from 0 (unturned) over 1 (orthogonal) to 2. Kernels only, as in
the paper: biases and the parameters of norms are left out. The right-hand side, summed in float64,
is used because 1 - cos in float32 is noise below 1e-4. The paper's claim, that networks generalise
best when all layers come near 1, is about its CNNs; small rotation is no fault in itself.

Carbonnelle & De Vleeschouwer 2019, Layer rotation: a surprisingly powerful indicator of
generalization in deep networks?, arXiv:1806.01603.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dyntools.linalg.blockwise import ROUNDING, chord
from dyntools.measurement import Measurement, skipped
from dyntools.metrics.layers import Row, collect, failed, left_out_below, missing, unlike
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.snapshot import Snapshot


def rotation(
    now: Tensor, then: Tensor, lengths: tuple[float, float] | None = None
) -> tuple[float, float]:
    """1 - cosine of two tensors of one shape, and its rounding error; NaN if one is zero or NaN.

    lengths: the norms of both, where they are known.
    """
    distance = chord(now, then, lengths)
    return distance**2 / 2, distance * ROUNDING + ROUNDING**2 / 2


def measure(snapshot: Snapshot) -> Measurement:
    """Cosine distance of every kernel from the initial weights."""
    initial = snapshot.initial
    if initial is None:
        return skipped("the initial weights are not known", ("layer",))

    def row(name: str) -> Row:
        if reason := unlike(snapshot, initial, name):
            return missing(reason)
        lengths = snapshot.norm(name), initial.norm(name)
        value, error = rotation(snapshot.tensor(name), initial.tensor(name), lengths)
        if math.isnan(value):
            return failed("now or at the start the kernel is zero or holds NaN or inf")
        degrees = math.degrees(2 * math.asin(min(1.0, math.sqrt(value / 2))))
        return Row(value, error, {"angle_degrees": degrees})

    shapes = snapshot.params.shapes
    return collect(
        {name: row(name) for name, shape in shapes.items() if len(shape) >= 2},
        beside=("angle_degrees",),
        error=True,
        left_out=left_out_below(snapshot, 2, "layer rotation is about kernels"),
        method="" if initial.step == 0 else f"from step {initial.step}, the earliest weights known",
    )


METRIC = Metric(
    name="layer_rotation",
    group="weights",
    version=1,
    measure=measure,
    needs=("params", "initial"),
    dims=("layer",),
    unit="1 - cosine",
    what="rotation of each kernel away from its initialisation",
    paper="Carbonnelle & De Vleeschouwer 2019, arXiv:1806.01603",
    cost="two readings of the weights",
    layerwise=True,
)
