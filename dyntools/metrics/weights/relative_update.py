"""Relative update: how much each tensor changed since the previous checkpoint, per step.

    value = |w - w'| / |w'| / steps between        w' the tensor at the previous checkpoint
    total = |w - w'| / |w'|

Frobenius norms, every parameter. The net change per step: a lower bound of the size of a single
step. A tensor whose value has become small beside the others' is a candidate for freezing (GradES
does so in its released code by the L1 norm of this change; its thresholds are not portable).

Wen et al. 2025, GradES: Significantly faster training in transformers with gradient-based early
stopping, arXiv:2509.01842; the ratio itself: You et al. 2017, LARS, arXiv:1708.03888.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dyntools.linalg.blockwise import ROUNDING, distance
from dyntools.measurement import Measurement, skipped
from dyntools.metrics.layers import Row, collect, failed, missing, steps_since, unlike
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.snapshot import Snapshot


def measure(snapshot: Snapshot) -> Measurement:
    """Relative change of every tensor since the previous checkpoint, per step."""
    previous = snapshot.previous
    if previous is None:
        return skipped("there is no checkpoint before this one", ("layer",))
    steps = steps_since(snapshot, previous)

    def row(name: str) -> Row:
        if reason := unlike(snapshot, previous, name):
            return missing(reason)
        length = previous.norm(name)
        change = distance(snapshot.tensor(name), previous.tensor(name))
        total = change / length if length else math.nan
        if not math.isfinite(total):
            return failed("the tensor was zero before, or holds NaN or inf")
        return Row(total / steps, total * ROUNDING / steps, {"total": total})

    return collect(
        {name: row(name) for name in snapshot.params},
        beside=("total",),
        error=True,
        method=f"since step {previous.step}",
    )


METRIC = Metric(
    name="relative_update",
    group="weights",
    version=1,
    measure=measure,
    needs=("params", "previous"),
    dims=("layer",),
    unit="1 per step",
    what="net change of each tensor since the previous checkpoint over its norm, per step",
    paper="Wen et al. 2025, arXiv:2509.01842; You et al. 2017, arXiv:1708.03888",
    cost="two readings of the weights",
    layerwise=True,
)
