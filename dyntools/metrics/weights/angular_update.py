"""Angular update: how far each kernel turned since the previous checkpoint, per step.

    angle = 2 arcsin( | w/|w| - w'/|w'| | / 2 )        w' the kernel at the previous checkpoint

    value        = angle / steps between, in radians per step: net turning, so a lower bound of the
                   mean angle of a single step (steps back and forth cancel)
    total        = angle, in radians
    radial_share = ((w - w')·w' / |w'|)² / |w - w'|²: share of the change along the weights
                   themselves. Where a norm follows, that share does nothing but shrink later
                   updates; a random change in d dimensions has 1/d.

Heo et al. 2021, AdamP: Slowing down the slowdown for momentum optimizers on scale-invariant
weights, arXiv:2006.08217. The angle per step as an effective learning rate: Wan et al. 2021,
Spherical motion dynamics, arXiv:2006.08419.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dyntools.linalg.blockwise import ROUNDING, chord, difference
from dyntools.measurement import Measurement, skipped
from dyntools.metrics.layers import (
    Row,
    collect,
    failed,
    left_out_below,
    missing,
    steps_since,
    unlike,
)
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.snapshot import Snapshot


def angle_and_radial_share(now: Tensor, then: Tensor) -> tuple[float, float]:
    """Radians between two tensors of one shape; share of the change along `then`, NaN if none."""
    half = chord(now, then) / 2
    if math.isnan(half):
        return math.nan, math.nan
    length, along = difference(now, then)
    share = min(1.0, (along / length) ** 2) if length else math.nan
    return 2 * math.asin(min(1.0, half)), share


def measure(snapshot: Snapshot) -> Measurement:
    """Angle between each kernel and itself at the previous checkpoint, per step."""
    previous = snapshot.previous
    if previous is None:
        return skipped("there is no checkpoint before this one", ("layer",))
    steps = steps_since(snapshot, previous)

    def row(name: str) -> Row:
        if reason := unlike(snapshot, previous, name):
            return missing(reason)
        angle, share = angle_and_radial_share(snapshot.tensor(name), previous.tensor(name))
        if math.isnan(angle):
            return failed("now or before the kernel is zero or holds NaN or inf")
        # asin is steep near 180 degrees only; 4 covers everything up to 150.
        error = 4 * ROUNDING if angle < 2.6 else math.sqrt(8 * ROUNDING)
        return Row(angle / steps, error / steps, {"total": angle, "radial_share": share})

    return collect(
        {name: row(name) for name, shape in snapshot.params.shapes.items() if len(shape) >= 2},
        beside=("total", "radial_share"),
        error=True,
        left_out=left_out_below(snapshot, 2, "the angle is about kernels"),
        method=f"since step {previous.step}",
    )


METRIC = Metric(
    name="angular_update",
    group="weights",
    version=1,
    measure=measure,
    needs=("params", "previous"),
    dims=("layer",),
    unit="radian per step",
    what="net rotation of each kernel since the previous checkpoint, per step",
    paper="Heo et al. 2021, arXiv:2006.08217",
    cost="three readings of the weights",
    layerwise=True,
)
