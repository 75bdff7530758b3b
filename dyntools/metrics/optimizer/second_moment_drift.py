"""Second-moment drift: how much v̂ has changed since the previous checkpoint, per step.

    total = Σ|v̂ - v̂'| / Σ v̂'        v̂' at the previous checkpoint
    value = total / steps between

    l1_ratio = Σ v̂ / Σ v̂',   cosine of v̂ and v̂'

1-bit Adam freezes v when the ratio of its L1 norms over 1/(1-β2) steps has come to 0.96; STEP goes
by the mean change of an entry in one step, of which `mean_change` is a lower bound.

null: what the value is where nothing drifts. With a = β2^Δ (1-β2^t')/(1-β2^t), t = t' + Δ,

    v̂ = a v̂' + (1-a) n        n: the second moment of the Δ newer gradients alone, independent of v̂'

For stationary Gaussian gradients both means are close to gamma distributed with shapes n_eff/2,
p of v̂' and q of n, and E|v̂ - v̂'| / E v̂ = (1-a) 2 p^(p-1) q^(q-1) / (B(p,q) (p+q)^(p+q-1)), whatever
the variance of each weight. 1.6/√n_eff for two independent means over many.

Tang et al. 2021, 1-bit Adam, arXiv:2102.02888; Lu et al. 2023, STEP: learning N:M structured
sparsity masks from scratch with precondition, arXiv:2302.01172. The null is ours.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dyntools.linalg.blockwise import blocks
from dyntools.metrics.layers import Row, failed, missing, steps_since
from dyntools.metrics.metric import Metric
from dyntools.metrics.optimizer.denominator import precision, second_moment
from dyntools.metrics.optimizer.tensors import by_tensor
from dyntools.moments import Moments, effective_samples, moments_of

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot

COMPANIONS = ("total", "null", "l1_ratio", "cosine", "mean_change", "steps")


def of_noise(beta2: float, steps: float, between: float) -> float:
    """What `total` is for stationary Gaussian gradients, `between` steps before step `steps`."""
    if not 0.0 < between <= steps:
        return math.nan
    before = effective_samples(beta2, steps - between) / 2.0
    newer = effective_samples(beta2, between) / 2.0
    if not before:  # there was nothing before
        return math.nan
    kept = float(beta2**between * (1.0 - beta2 ** (steps - between)) / (1.0 - beta2**steps))
    return (1.0 - kept) * _apart(before, newer)


def _apart(p: float, q: float) -> float:
    """E|X - Y| of independent gamma variables of mean 1 and shapes p, q."""
    log_beta = math.lgamma(p) + math.lgamma(q) - math.lgamma(p + q)
    powers = (p - 1.0) * math.log(p) + (q - 1.0) * math.log(q) - (p + q - 1.0) * math.log(p + q)
    return 2.0 * math.exp(powers - log_beta)


def measure(snapshot: Snapshot) -> Measurement:
    """Relative change of v̂ of every tensor since the previous checkpoint, per step."""
    stored, previous = precision(snapshot), snapshot.previous

    def row(name: str, found: Moments) -> Row:
        then = _before(snapshot, name, found)
        if isinstance(then, str):
            return missing(then)
        now, was = second_moment(found), second_moment(then)
        if isinstance(now, str):
            return failed(now)
        if isinstance(was, str):
            return failed(f"{was} at the previous checkpoint")
        assert previous is not None
        between = steps_since(snapshot, previous)
        taken = found.steps - then.steps
        # The optimizer's own count where it keeps one: checkpoints may be numbered by epoch.
        taken = taken if math.isfinite(taken) and taken > 0 else float(between)
        total, beside = _compared(now, was)
        if not math.isfinite(total):
            return failed("the second moment was zero everywhere at the previous checkpoint")
        beside["mean_change"] /= taken
        beside |= {"null": of_noise(found.beta2, found.steps, taken) / taken, "steps": taken}
        since = f"since step {previous.step}"
        return Row(total / taken, beside=beside, method=f"{since}; {stored}" if stored else since)

    return by_tensor(snapshot, row, beside=COMPANIONS)


def _before(snapshot: Snapshot, name: str, found: Moments) -> Moments | str:
    """The moments at the previous checkpoint, or why there are none to compare with."""
    assert snapshot.previous is not None
    now, state = snapshot.moments, snapshot.previous.optimizer
    if now is not None and now.estimated:
        return "its second moments are estimated at fixed weights and do not drift"
    step = snapshot.previous.step
    if state is None:
        return f"there is no optimizer state at step {step}"
    then = moments_of(state, name, found.shape)
    return f"at step {step}: {then}" if isinstance(then, str) else then


def _compared(now: Tensor, then: Tensor) -> tuple[float, dict[str, float]]:
    """`total` and the companions that need no steps; NaN where `then` is zero."""
    change = length = length_then = product = square = square_then = 0.0
    largest = max(float(now.max()), float(then.max())) or 1.0  # squares leave float64's range
    for x, y in zip(blocks(now), blocks(then.to(now.device)), strict=True):
        x, y = x / largest, y / largest
        change += float((x - y).abs().sum())
        length, length_then = length + float(x.sum()), length_then + float(y.sum())
        product += float((x * y).sum())
        square, square_then = square + float((x * x).sum()), square_then + float((y * y).sum())
    both = math.sqrt(square) * math.sqrt(square_then)
    beside = {
        "total": change / length_then if length_then else math.nan,
        "l1_ratio": length / length_then if length_then else math.nan,
        "cosine": min(product / both, 1.0) if both else math.nan,
        "mean_change": largest * change / now.numel(),
    }
    return beside["total"], beside


METRIC = Metric(
    name="second_moment_drift",
    group="optimizer",
    version=1,
    measure=measure,
    needs=("moments", "previous"),
    dims=("layer",),
    unit="1 per step",
    what="change of Adam's second moment since the previous checkpoint over its L1 norm, per step",
    paper="Tang et al. 2021, arXiv:2102.02888; Lu et al. 2023, arXiv:2302.01172",
    cost="two readings of the second moments",
    layerwise=True,
)
