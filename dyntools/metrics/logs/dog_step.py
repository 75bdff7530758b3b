"""DoG step: the step size that the path of a run implies, without a learning rate.

    value = r̄_t / √(Σ_{i ≤ t} ‖g_i‖²)        r̄_t = max_{i ≤ t} ‖θ_i - θ_0‖₂

distance over gradients, over all parameters together: what DoG would take as its next step of SGD
from here. The distances are known at checkpoints only: those of this one and of the one before are
taken, so r̄, and with it the value, is a lower bound where the run was farther out in between. A
norm that was logged at every k-th step stands for the steps since the one before, and the error is
the standard error that this brings: for a gap of k steps k (k-1) times the variance of a norm
squared, from the difference to its neighbour.

Ivgi, Hinder & Carmon 2023, DoG is SGD's best friend, arXiv:2302.12022.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dyntools.log import Role
from dyntools.measurement import Measurement, Status, skipped
from dyntools.metrics.layers import unlike
from dyntools.metrics.logs.history import History, history, missing
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.snapshot import Snapshot


def summed_squares(curve: History, start: int) -> tuple[float, float]:
    """Σ‖g_i‖² over the steps from `start` to the last logged one, and its standard error.

    curve: (n,) norms, n > 0. The error is 0 where every step was logged, and NaN where a single
    norm stands for several steps.
    """
    squares = curve.values**2
    spans = np.diff(curve.steps, prepend=start).astype(np.float64)
    total = float(np.sum(spans * squares))
    if np.all(spans <= 1):
        return total, 0.0
    if len(squares) < 2:
        return total, math.nan
    changes = np.diff(squares) ** 2 / 2
    # Each point takes the mean of what it differs by from the neighbours it has.
    variances = (np.append(changes, changes[-1]) + np.append(changes[0], changes)) / 2
    return total, math.sqrt(float(np.sum(spans * (spans - 1) * variances)))


def distance(snapshot: Snapshot, start: Snapshot) -> tuple[float, dict[str, str]]:
    """‖θ - θ_0‖₂ over the parameters that both have, and why others are left out."""
    import torch

    squares, left_out = 0.0, {}
    for name in snapshot.params:
        if reason := unlike(snapshot, start, name):
            left_out[name] = reason
            continue
        moved = snapshot.tensor(name).detach().cpu().to(torch.float64) - start.tensor(
            name
        ).cpu().to(torch.float64)
        squares += float(moved.square().sum())
    return math.sqrt(squares) if squares >= 0 else math.nan, left_out


@np.errstate(over="ignore", invalid="ignore")  # what is not finite is a status
def measure(snapshot: Snapshot) -> Measurement:
    """Distance from the start over the root of the summed squared gradient norms."""
    start = snapshot.initial
    assert start is not None, "needs"
    curve = history(snapshot, Role.gradient_norm).finite
    later = curve.steps > start.step
    curve = History(curve.steps[later], curve.values[later])
    if not len(curve):
        return skipped(
            "it needs a gradient norm after the start"
            if snapshot.step <= start.step
            else missing(snapshot, Role.gradient_norm)
        )
    if snapshot.log is not None and snapshot.log.unit != "step":
        return skipped(f"the log counts in {snapshot.log.unit}s, and it needs a norm for each step")
    here, left_out = distance(snapshot, start)
    before = math.nan if snapshot.previous is None else distance(snapshot.previous, start)[0]
    farthest = float(np.fmax(here, before)) if math.isfinite(here) else math.nan
    total, error = summed_squares(curve, start.step)
    reason = ""
    if not math.isfinite(farthest):
        reason = "the parameters are not finite"
    elif not farthest > 0:
        reason = "no parameter has moved from the start"
    elif not 0 < total < math.inf:
        reason = "the squared gradient norms have no finite sum above 0"
    value = math.nan if reason else farthest / math.sqrt(total)
    rates = history(snapshot, Role.learning_rate).finite
    rate = float(rates.values[-1]) if len(rates) else math.nan
    beside = {
        "distance": here,
        "distance_before": before,
        "summed_squares": total,
        "logged_norms": float(len(curve)),
        "steps": float(curve.steps[-1] - start.step),
        "learning_rate": rate,
        "learning_rate_share": rate / value if value > 0 else math.nan,
    }
    return Measurement(
        np.array(value),
        error=np.array(value * error / (2 * total) if not reason else math.nan),
        status=np.array(Status.failed if reason else Status.ok),
        beside={name: np.array(number) for name, number in beside.items()},
        skipped={**left_out, **({"": reason} if reason else {})},
        method=_method(curve, start.step),
    )


def _method(curve: History, start: int) -> str:
    spans: NDArray[np.int64] = np.diff(curve.steps, prepend=start)
    every = float(np.median(spans))
    return (
        f"distances of this checkpoint and the one before, from step {start}; {len(curve)} norms, "
        f"one in {every:g} steps; error: the norms that were not logged"
    )


METRIC = Metric(
    name="dog_step",
    group="logs",
    version=1,
    measure=measure,
    needs=("params", "initial", "log"),
    uses=("previous",),
    dims=(),
    unit="learning rate of SGD",
    what="distance from the start over the root of the summed squared gradient norms",
    paper="Ivgi et al. 2023, arXiv:2302.12022",
    cost="reads the weights of three checkpoints",
)
