"""output_drift: how far the predictions moved since the checkpoint before.

    value = T² · mean KL(p' ‖ p),  p' = softmax(z' / T) before, p = softmax(z / T) now     nats

z are the logits of each term of the loss on the same examples. To second order it is ½ δᵀ F δ of
the step δ in the weights, F the Fisher matrix. Du et al. 2022, Sharpness-aware training for free
(SAF), arXiv:2205.14083, add it to the loss, between epochs, so that training does not fall into
sharp minima; their code multiplies by T² as here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dyntools.measurement import Measurement, Status, skipped
from dyntools.metrics.activations.other_steps import predictions, predictions_before
from dyntools.metrics.activations.sites import error_of_ratio
from dyntools.metrics.layers import steps_since
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.activations.predictions import Drift
    from dyntools.snapshot import Snapshot

COMPANIONS = ("per_step", "reverse", "changed", "between", "terms")


def measure(snapshot: Snapshot, *, temperature: float = 1.0) -> Measurement:
    """Mean over the terms of the loss, with one standard error over examples.

    temperature: T; 1 compares the predictions themselves. Larger ones weigh all classes alike, as
        in the training of Du et al. 2022.
    """
    previous = snapshot.previous
    if previous is None:
        return skipped("there is no checkpoint before this one")
    found = _drift(snapshot, previous, temperature)
    if isinstance(found, str):
        nothing = {name: np.array(math.nan) for name in COMPANIONS}
        status = np.array(Status.failed)
        return Measurement(
            np.array(math.nan),
            error=np.array(math.nan),
            status=status,
            beside=nothing,
            skipped={"": found},
        )
    between, terms = steps_since(snapshot, previous), float(found.terms.sum())
    value, reverse, changed = (
        float(sums.sum()) / terms for sums in (found.forward, found.reverse, found.changed)
    )
    beside = dict(zip(COMPANIONS, (value / between, reverse, changed, between, terms), strict=True))
    return Measurement(
        np.array(value),
        error=np.array(error_of_ratio(found.forward, found.terms)),
        beside={name: np.array(number) for name, number in beside.items()},
        method=f"{terms:.0f} terms, since step {previous.step}",
    )


def _drift(snapshot: Snapshot, previous: Snapshot, temperature: float) -> Drift | str:
    from dyntools.activations.predictions import drift

    now, before = predictions(snapshot), predictions_before(snapshot, previous)
    if isinstance(now, str):
        return now
    if isinstance(before, str):
        return f"at step {previous.step}: {before}"
    found = drift(before, now, temperature)
    if isinstance(found, str):
        return found
    if not float(found.terms.sum()):
        return "no term of the loss counts at both steps"
    finite = bool(found.forward.isfinite().all()) and bool(found.reverse.isfinite().all())
    return found if finite else "the logits hold NaN or inf"


METRIC = Metric(
    name="output_drift",
    group="activations",
    version=1,
    measure=measure,
    needs=("params", "problem", "previous"),
    dims=(),
    unit="nats",
    what="KL divergence of the predictions from those at the checkpoint before",
    paper="Du et al. 2022, arXiv:2205.14083",
    cost="one forward pass, shared by all metrics of activations; two where the checkpoint before "
    "was not measured",
    least={"temperature": 1e-3},
)
