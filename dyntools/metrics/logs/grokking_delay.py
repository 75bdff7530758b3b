"""Grokking delay: steps between fitting the training data and fitting the validation data.

    value = t_va - t_tr        t = the first logged step whose accuracy is at least the stated one

Power et al. train small transformers on binary operations, where training accuracy is near 1 after
a thousand steps and validation accuracy may follow a hundred times later; they count the steps to a
validation accuracy of 99 %. A delay that has not ended has no value but a lower bound: the steps
since training was fitted.

A log does not say whether an accuracy is a share or a percentage. Where either curve has risen
above 1 by the step that is looked at, both are percentages: one run logs both in one way. Before
that a percentage cannot be told from a share.

Power et al. 2022, Grokking: Generalization beyond overfitting on small algorithmic datasets,
arXiv:2201.02177.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dyntools.log import Role
from dyntools.measurement import Measurement, Status, skipped
from dyntools.metrics.logs.history import History, history, missing
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.snapshot import Snapshot

LARGEST = 1.001  # of a share: 1 and what rounding may add to it; chosen


def first_at_least(curve: History, level: float) -> tuple[float, float]:
    """The first step whose value is at least `level`, and the steps since the point before it.

    Both NaN where there is none; before the first point of the curve lies step 0.
    """
    reached = np.flatnonzero(curve.values >= level)
    if not len(reached):
        return math.nan, math.nan
    at = int(reached[0])
    gap = float(curve.steps[at] - (curve.steps[at - 1] if at else 0))
    return float(curve.steps[at]), gap


def measure(snapshot: Snapshot, *, train: float = 0.99, validation: float = 0.99) -> Measurement:
    """Steps from the first training accuracy of `train` to the first validation accuracy.

    train, validation: shares between 0 and 1; 0.99 is the validation accuracy that Power et al.
    2022 count the steps to, taken here for training too.
    """
    curves = {}
    for role in (Role.train_accuracy, Role.validation_accuracy):
        curve = history(snapshot, role).finite
        if not len(curve):
            return skipped(missing(snapshot, role))
        curves[role] = curve
    percent = any(np.max(curve.values) > LARGEST for curve in curves.values())
    if percent:
        curves = {role: History(c.steps, c.values / 100) for role, c in curves.items()}
    tr, va = curves[Role.train_accuracy], curves[Role.validation_accuracy]
    (fitted, train_gap), (found, gap) = first_at_least(tr, train), first_at_least(va, validation)
    value, reason = found - fitted, ""
    lower = math.nan
    if math.isnan(fitted):
        reason = (
            f"training accuracy has not reached {train:g} (best {np.max(tr.values):.3g}), so no "
            "delay has begun"
        )
    elif math.isnan(found):
        lower = max(float(va.steps[-1]) - fitted, 0.0)
        reason = (
            f"validation accuracy has not reached {validation:g} by its last check "
            f"(best {np.max(va.values):.3g}): the delay is more than {lower:.0f} steps, if it ends"
        )
    if reason and percent:
        reason += "; both accuracies are read as percentages"
    beside = {
        "train_step": fitted,
        "validation_step": found,
        "at_least": lower,
        "ratio": found / fitted if fitted > 0 else math.nan,
        "train_accuracy": float(tr.values[-1]),
        "validation_accuracy": float(va.values[-1]),
        "best_validation_accuracy": float(np.max(va.values)),
    }
    return Measurement(
        np.array(value),
        error=np.array(max(train_gap, gap) if not reason else math.nan),
        status=np.array(Status.failed if reason else Status.ok),
        beside={name: np.array(number) for name, number in beside.items()},
        skipped={"": reason} if reason else {},
        method=(
            f"first logged accuracies of {train:g} (training) and {validation:g} (validation)"
            + f"; both read as {'percentages' if percent else 'shares'}, for "
            + ("one of them" if percent else "none of them")
            + " is above 1 by now"
            + "; error: the wider of the two gaps to the point before"
        ),
    )


METRIC = Metric(
    name="grokking_delay",
    group="logs",
    version=1,
    measure=measure,
    needs=("log",),
    dims=(),
    unit="steps",
    what="steps between fitting the training and the validation data",
    paper="Power et al. 2022, arXiv:2201.02177",
    cost="reads the log",
    least={"train": 0, "validation": 0},
    most={"train": 1, "validation": 1},
)
