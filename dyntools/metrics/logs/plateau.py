"""Plateau: how many checks have passed since the loss last improved.

    improved at t:  x_t < best · (1 - threshold)          best = the last improved value
    value         = checks since the last improvement

the rule of ReduceLROnPlateau in its relative mode, without its cooldown and without starting to
count anew after each reduction. Checks are the points of the validation loss; a log without them is
judged by its training loss, averaged to at most 50 checks, for single batches rarely beat the best.
The slope is Theil-Sen's over as many checks as the patience, with its 95 % interval.

PyTorch, torch.optim.lr_scheduler.ReduceLROnPlateau (mode "min", threshold_mode "rel").
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dyntools.log import Role
from dyntools.measurement import Measurement, Status, skipped
from dyntools.metrics.logs.history import History, history, missing
from dyntools.metrics.logs.trend import theil_sen
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.snapshot import Snapshot

CHECKS = 50  # from a training curve: five times the patience; chosen, no source


def last_improvement(values: NDArray[np.float64], threshold: float) -> int:
    """Index of the last value that improved on the best before it; (n,), n > 0, values positive."""
    best, at = math.inf, 0
    for index, value in enumerate(values.tolist()):
        if value < best * (1 - threshold):
            best, at = value, index
    return at


def averaged(curve: History, checks: int) -> History:
    """At most `checks` means of equally many neighbours, the last of which ends at the last point.

    The first points, that fill no whole group, are left out.
    """
    size = -(-len(curve) // checks)
    left = len(curve) % size
    values = curve.values[left:].reshape(-1, size).mean(axis=1)
    return History(curve.steps[left:].reshape(-1, size)[:, -1], values)


@np.errstate(over="ignore", invalid="ignore")  # losses near 1e308: inf and NaN say so
def measure(snapshot: Snapshot, *, threshold: float = 1e-4, patience: int = 10) -> Measurement:
    """Checks since the last improvement.

    threshold, patience: the defaults of torch.optim.lr_scheduler.ReduceLROnPlateau.
    """
    role = Role.validation_loss
    curve = history(snapshot, role).finite
    if not len(curve):
        role = Role.train_loss
        curve = history(snapshot, role).finite
        if not len(curve):
            return skipped(missing(snapshot, Role.validation_loss))
        curve = averaged(curve, CHECKS)
    at = last_improvement(curve.values, threshold)
    since = len(curve) - 1 - at
    steps, values = curve.steps[-patience:].astype(np.float64), curve.values[-patience:]
    trend = theil_sen(steps, values)
    level = float(np.median(values))
    per_window = (steps[-1] - steps[0]) / level if level > 0 else math.nan
    beside = {
        "of_validation": role == Role.validation_loss,
        "checks": len(curve),
        "since_step": curve.steps[at],
        "loss": curve.values[-1],
        "best_loss": curve.values[at],
        "plateaued": since > patience,
        "slope": trend.slope,
        "slope_low": trend.low,
        "slope_high": trend.high,
        # What the slope amounts to over the window, as a share of the loss there.
        "relative_change": trend.slope * per_window,
        "relative_change_low": trend.low * per_window,
        "relative_change_high": trend.high * per_window,
    }
    enough = len(curve) > patience
    return Measurement(
        np.array(float(since) if enough else math.nan),
        status=np.array(Status.ok if enough else Status.failed),
        beside={name: np.array(float(number)) for name, number in beside.items()},
        skipped={} if enough else {"": f"{len(curve)} checks; a patience of {patience} needs more"},
        method=(
            f"{role} in {len(curve)} checks; improved: below the best by a share of {threshold:g}; "
            f"slope: Theil-Sen over {len(values)} checks"
        ),
    )


METRIC = Metric(
    name="plateau",
    group="logs",
    version=1,
    measure=measure,
    needs=("log",),
    dims=(),
    unit="checks",
    what="checks since the loss last improved",
    paper="PyTorch, torch.optim.lr_scheduler.ReduceLROnPlateau",
    cost="reads the log",
    least={"threshold": 0, "patience": 1},
)
