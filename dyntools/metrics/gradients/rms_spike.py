"""RMS spike: gradients that the second moment of Adam has not seen coming.

    value   = √ mean (g² / max(v̂, eps²))     v̂ holds g already: 1 at the first step
    before  = the same with the v̂ of the step before, from v_before = (v - (1-β2) g²) / β2
    ceiling = √((1-β2^t) / (1-β2))           the largest that the value can be
    spiked  = share of weights with g² > 5000 v_before

About 1 where gradients are as large as they have been, whatever their distribution: were v̂ the
plain mean over n gradients and g any one of them, the mean of g²/v̂ would be 1 exactly, by
exchange. A value far above 1 says that v̂ is out of date, and that the step is as many times too
long. `before` has no ceiling, but is large for every weight whose gradients are rare.

Wortsman et al. 2023, Stable and low-precision training for large-scale vision-language models,
arXiv:2304.13013: RMS_t with this v̂ and this floor, by which StableAdamW divides the learning rate,
as Adafactor clips its updates (Shazeer & Stern 2018, arXiv:1804.04235). 5000 and v_before without
correction of bias: Huang et al. 2025, SPAM, arXiv:2501.06842.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dyntools.metrics.gradients.source import PROBE, gradient, of_training
from dyntools.metrics.layers import Row, failed, missing
from dyntools.metrics.metric import Metric
from dyntools.metrics.optimizer.denominator import precision, second_moment
from dyntools.metrics.optimizer.tensors import by_tensor, method
from dyntools.moments import Moments

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot

SPAM = 5000.0  # g² over v_before of a spike; the default of Huang et al. 2025
# How far v may fall below (1-β2) g² by rounding, in units of its last place; measured below 2.
ROUNDING = 8.0
COMPANIONS = ("before", "largest", "spiked", "ceiling", "zero", "size")
ZERO = "its gradient is zero everywhere, as after zero_grad(set_to_none=False)"
NOT_IN = "the second moment does not hold this gradient"


def measure(snapshot: Snapshot) -> Measurement:
    """RMS of g/√v̂ of every tensor."""
    live, rounded = of_training(snapshot), precision(snapshot)
    said = [method(snapshot), rounded, "" if live else PROBE]

    def row(name: str, found: Moments) -> Row:
        v = second_moment(found)
        if isinstance(v, str):
            return failed(v)
        g = gradient(snapshot, name)
        if isinstance(g, str):
            return missing(g)
        squares = g.to(v.device, v.dtype, copy=True).square_()
        largest = float(squares.max())
        if not math.isfinite(largest):
            return failed("its gradient holds NaN or inf")
        if largest == 0.0:
            return failed(ZERO)
        past = _before(found, squares) if live and not rounded else None
        ratio = squares / v.clamp_(min=found.eps**2 or math.ulp(0.0))
        beside = {
            "largest": math.sqrt(float(ratio.max())),
            "zero": int((squares == 0.0).sum()) / squares.numel(),
            "size": float(squares.numel()),
            "ceiling": _ceiling(found) if live else math.nan,
            **(_against(past, found, squares) if past is not None else {}),
        }
        unseen = NOT_IN if live and not rounded and past is None and found.steps > 1 else ""
        return Row(
            math.sqrt(float(ratio.mean())),
            beside=beside,
            method="; ".join(filter(None, (*said, unseen))),
        )

    return by_tensor(snapshot, row, beside=COMPANIONS)


def _ceiling(found: Moments) -> float:
    """√(v̂/g²) of a weight that had no gradient before this one."""
    return float(math.sqrt((1.0 - found.beta2**found.steps) / (1.0 - found.beta2)))


def _before(found: Moments, squares: Tensor) -> Tensor | None:
    """v before this gradient entered it; None at the first step, and where it did not enter.

    Not smaller than the last place of v, of which it is the rest, so that ratios are not too large.
    """
    import torch

    if found.steps <= 1 or found.beta2 == 0.0:
        return None
    stored = found.v()
    place = torch.finfo(stored.dtype).eps * stored.double()
    rest = stored.double() - (1.0 - found.beta2) * squares
    if bool((rest < -ROUNDING * place).any()):
        return None
    return torch.maximum(rest, place).div_(found.beta2)


def _against(past: Tensor, found: Moments, squares: Tensor) -> dict[str, float]:
    corrected = past / (1.0 - found.beta2 ** (found.steps - 1.0))
    ratio = squares / corrected.clamp_(min=found.eps**2 or math.ulp(0.0))
    return {
        "before": math.sqrt(float(ratio.mean())),
        "spiked": int((squares > SPAM * past).sum()) / squares.numel(),
    }


METRIC = Metric(
    name="rms_spike",
    group="gradients",
    version=1,
    measure=measure,
    needs=("moments", "gradients"),
    dims=("layer",),
    unit="1",
    what="RMS of the gradient over the root of Adam's second moment",
    paper="Wortsman et al. 2023, arXiv:2304.13013; Huang et al. 2025, arXiv:2501.06842",
    cost="one reading of the gradients and of the second moments",
    layerwise=True,
)
