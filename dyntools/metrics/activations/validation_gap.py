"""validation_gap: by how much the loss of examples held out from training exceeds that of training.

    value = L_validation - L_training                         one number, in the unit of the loss
    error² = error_validation² + error_training²              one standard error over examples

Both are means over fixed examples at the same weights, in the same mode and precision. A log's gap
is between a training loss that is averaged along changing weights, under augmentation and dropout,
and a validation loss without: it may be negative for that reason alone. The gap between training
and fresh examples is the generalisation gap: Vapnik 1998, Statistical Learning Theory; as measured
on networks, Jiang et al. 2020, Fantastic Generalization Measures, arXiv:1912.02178.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dyntools.measurement import Measurement, Status
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.activations.mean_loss import MeanLoss
    from dyntools.snapshot import Snapshot


def measure(snapshot: Snapshot) -> Measurement:
    """The gap with one standard error, and both losses and accuracies beside it.

    Raises ProblemError as `Snapshot.risk` does, and when validation examples cannot be used.
    """
    from dyntools.activations.mean_loss import mean_loss
    from dyntools.problem.conditions import is_whole
    from dyntools.problem.validation import validation_risk

    risk = snapshot.risk()
    training, validation = mean_loss(risk), mean_loss(validation_risk(risk))
    value = validation.value - training.value
    fine = math.isfinite(value)
    beside = {**_told(training, "training"), **_told(validation, "validation")}
    beside["accuracy_gap"] = training.accuracy - validation.accuracy
    units = "batches" if is_whole(risk.problem) else "examples"
    refused = training.refused or validation.refused
    without = f"; no accuracies: {refused}" if refused else ""
    return Measurement(
        np.array(value if fine else math.nan),
        error=np.array(math.hypot(training.error, validation.error) if fine else math.nan),
        status=np.array(Status.ok if fine else Status.failed),
        beside={name: np.array(number) for name, number in beside.items()},
        skipped={} if fine else {"": "a loss is not finite"},
        method=f"{validation.units} validation and {training.units} training {units}{without}",
    )


def _told(one: MeanLoss, name: str) -> dict[str, float]:
    return {
        f"{name}_loss": one.value,
        f"{name}_error": one.error,
        f"{name}_accuracy": one.accuracy,
        f"{name}_terms": one.terms,
    }


METRIC = Metric(
    name="validation_gap",
    group="activations",
    version=1,
    measure=measure,
    needs=("params", "problem", "validation"),
    dims=(),
    unit="loss",
    what="validation loss minus training loss, on fixed examples at the same weights",
    paper="Vapnik 1998; Jiang et al. 2020, arXiv:1912.02178",
    cost="two forward passes over the probe, and two over the validation examples",
)
