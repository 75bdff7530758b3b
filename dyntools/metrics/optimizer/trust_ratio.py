"""Trust ratio: the norm of the weights over the norm of Adam's next step at a rate of one.

    u = m̂ / (√v̂ + eps) + λ w         value = |w| / |u|         relative_step = lr |u| / |w|

What LAMB multiplies the learning rate of a layer by, so that each layer moves by the same share of
its norm; LARS does the same with the gradient in the place of m̂/(√v̂ + eps). Layers whose values
differ by much are those that a large batch at one learning rate for all strains first. λ w is left
out where the optimizer has put it into the gradient (torch.optim.Adam), as it is in m̂ then.

You et al. 2020, Large batch optimization for deep learning: training BERT in 76 minutes (LAMB),
arXiv:1904.00962; You et al. 2017, Large batch training of convolutional networks (LARS),
arXiv:1708.03888.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, cast

from dyntools.linalg.blockwise import ROUNDING, norm
from dyntools.metrics.layers import Row, failed, missing
from dyntools.metrics.metric import Metric
from dyntools.metrics.optimizer.denominator import first_moment, precision, root
from dyntools.metrics.optimizer.tensors import by_tensor
from dyntools.moments import Moments

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot

COMPANIONS = ("weight_norm", "update_norm", "relative_step", "weight_decay")


def measure(snapshot: Snapshot) -> Measurement:
    """|w| over |m̂/(√v̂ + eps) + λ w| of every tensor."""
    stored = precision(snapshot)

    def row(name: str, found: Moments) -> Row:
        if name not in snapshot.params:
            return missing("its weights are not known: the optimizer state has no name for it")
        decay = _decay(snapshot, name, found)
        update = _step(found, snapshot.params[name], decay)
        if isinstance(update, Row):
            return update
        size, length = norm(snapshot.params[name]), norm(update)
        if not math.isfinite(size):
            return failed("the tensor holds NaN or inf")
        if not math.isfinite(length):
            return failed("the update is not finite: a moment is not, or v and eps are zero")
        beside = {"weight_norm": size, "update_norm": length, "weight_decay": decay}
        if length == 0.0:
            return failed("the update is zero", beside)
        if size == 0.0:
            return failed("the weights are zero: LAMB and LARS take 1 there", beside)
        beside["relative_step"] = found.lr * length / size
        value = size / length
        return Row(value, 2.0 * ROUNDING * value, beside, method=stored)

    return by_tensor(snapshot, row, beside=COMPANIONS, error=True)


def _step(found: Moments, weight: Tensor, decay: float) -> Tensor | Row:
    """m̂/(√v̂ + eps) + decay · w in float64, on the device of the moments."""
    size, mean = root(found), first_moment(found)
    if isinstance(size, str):
        return failed(size)
    if isinstance(mean, Row):
        return mean
    update = mean.div_(size.add_(found.eps))
    return update.add_(weight.to(update.device).double(), alpha=decay) if decay else update


def _decay(snapshot: Snapshot, name: str, found: Moments) -> float:
    """λ of the update; 0 where the decay is in the gradient, as torch says of its Adam since 2.7.

    An optimizer that says nothing is taken to decay the weights themselves, as AdamW and LAMB do.
    """
    state = snapshot.moments
    groups = () if state is None else state.groups
    members = (
        group for group in groups if name in cast("Collection[str]", group.get("params", ()))
    )
    in_gradient = next(members, {}).get("decoupled_weight_decay") is False
    return 0.0 if in_gradient else found.weight_decay


METRIC = Metric(
    name="trust_ratio",
    group="optimizer",
    version=1,
    measure=measure,
    needs=("params", "moments"),
    dims=("layer",),
    unit="weight",
    what="norm of the weights over the norm of Adam's step at a rate of one",
    paper="You et al. 2020, arXiv:1904.00962; You et al. 2017, arXiv:1708.03888",
    cost="one reading of the weights and both moments",
    layerwise=True,
)
