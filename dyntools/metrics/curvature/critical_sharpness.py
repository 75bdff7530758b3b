"""critical_sharpness: the sharpness that the loss shows to a step of training, by forward passes.

    λ_c = 2 / η_c,    η_c = the smallest η with L(θ + η D) > L(θ)       one number, unit: 1 / rate

D is the step of a learning rate of 1: -g, Adam's -m̂ / (√v̂ + eps), or the last update over the rate.
On a quadratic λ_c = DᵀHD / (-gᵀD), for D = -g the curvature along the gradient: at most λ_1 of the
Hessian, and of the preconditioned one for Adam's D from g. A step of rate η along D raises the loss
once λ_c > 2/η. No product, no backward pass but for the gradient itself: Kalra et al. 2026,
arXiv:2601.16979.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dyntools.measurement import Measurement, Status
from dyntools.metrics.curvature import directions, rounding
from dyntools.metrics.curvature.first_rise import Crossing, first_rise
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.problem.risk import Risk
    from dyntools.snapshot import Snapshot

# Steps longer than this many lengths of the weights leave the model behind; chosen.
LONGEST = 10.0
FIRST = 1e-2  # of the length of the weights: the first step where no rate is known; chosen


def critical(risk: Risk, step: Tensor, guess: float, rtol: float) -> Crossing:
    """Where the loss along θ + η D first rises; `step` is D (n,). NaN `guess`: by the weights."""
    import torch

    from dyntools.linalg.vectors import norm

    size = directions.length(step)
    unit = max(float(norm(risk.theta)), 1.0) / size
    if not guess > 0.0:
        guess = FIRST * unit

    def loss(eta: float) -> float:
        return risk.loss() if eta == 0.0 else risk.loss(risk.theta + eta * step)

    shortest = float(torch.finfo(risk.dtype).eps) * unit
    return first_rise(loss, guess, rtol, shortest, LONGEST * unit)


def measure(snapshot: Snapshot, *, direction: str = "gradient", rtol: float = 0.01) -> Measurement:
    """2 / η_c along one direction.

    direction: `gradient`, as every checkpoint has it; `adam` and `update` are the paper's own, the
        optimizer's step, and need its state. `update` is the whole way from the checkpoint before.
    rtol: width of the bracket around η_c; 0.01, chosen: far below the sampling error, about two
        passes more than 0.1.
    """
    risk, rate = snapshot.risk(), directions.learning_rate(snapshot)
    step = directions.direction(snapshot, direction)
    if direction == "update" and not rate > 0.0 and not isinstance(step, str):
        step = "the checkpoint tells no learning rate, in which the update is measured"
    if isinstance(step, str):
        return _without(step, Status.skipped)
    if direction == "update":
        step = step / rate
    if directions.length(step) == 0.0:
        return _without("this direction is zero or not finite", Status.failed)
    key = ("critical step", direction)
    before = None if snapshot.earlier is None else snapshot.earlier.known(key)
    guess = before if isinstance(before, float) and before > 0.0 else rate
    found = critical(risk, step, guess, rtol)
    snapshot.once(key, lambda: found.root)
    edge = 2.0 / rate if rate > 0.0 and _is_taken(snapshot, direction) else math.nan
    return _measurement(found, rounding.of_loss(risk, found.start), rate, edge)


def _is_taken(snapshot: Snapshot, direction: str) -> bool:
    """Whether this optimizer steps along the direction: only then its rate says anything."""
    state = snapshot.optimizer
    return direction != "gradient" or (state is not None and state.family == "sgd")


def _measurement(found: Crossing, off: float, rate: float, edge: float) -> Measurement:
    beside = {"forward_passes": found.passes, "learning_rate": rate, "threshold": edge}
    companions = {name: np.array(float(number)) for name, number in beside.items()}
    if found.reason:
        return _without(found.reason, Status.failed, companions)
    value = 2.0 / found.root
    # The loss comes back to its start as steeply as it left, by 4 depths in η_c on a quadratic.
    moved = off / (2.0 * found.depth) if found.depth > 0.0 else math.inf
    if moved > 1.0:
        reason = f"the loss falls by no more than its rounding, {off:.2g}, before it rises"
        return _without(reason, Status.failed, companions)
    error = max(2.0 / found.low - value, value - 2.0 / found.high) + moved * value
    return Measurement(
        np.array(value),
        error=np.array(error),
        beside=companions,
        method=f"bracket and secants, {found.passes} forward passes",
    )


def _without(
    reason: str, status: Status, beside: dict[str, NDArray[np.float64]] | None = None
) -> Measurement:
    return Measurement(
        np.array(math.nan),
        error=np.array(math.nan),
        status=np.array(int(status), dtype=np.int8),
        beside=beside or {},
        skipped={"": reason},
    )


METRIC = Metric(
    name="critical_sharpness",
    group="curvature",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    dims=(),
    unit="1 / learning rate",
    what="2 over the smallest step along the update at which the loss rises",
    paper="Kalra et al. 2026, arXiv:2601.16979",
    cost="about 8 forward passes",
    choices={"direction": directions.NAMES},
    least={"rtol": 1e-4},
)
