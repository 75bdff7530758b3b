"""output_logits: the size of the logits z of a softmax, in the direction that the loss cannot see.

    value = mean log Z,   log Z = logsumexp z        one number, unit: nats
    norm = mean |z - mean z|      margin = mean of z_y - max of the others

The cross-entropy does not change when all logits move together, so nothing but rounding and weight
decay holds log Z: Wortsman et al. 2023, Small-scale proxies for large-scale Transformer training
instabilities, arXiv:2309.14322, see it run away late, without weight decay.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dyntools.measurement import Measurement, Status
from dyntools.metrics.activations.sites import activations, error_of_ratio
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.snapshot import Snapshot


def measure(snapshot: Snapshot) -> Measurement:
    """Mean log Z over the terms of the loss, with one standard error over examples."""
    logits = activations(snapshot).logits
    terms = float(logits.terms.sum())
    reason = logits.refused or ("" if terms else "no term of the loss counts")
    if not reason and not bool(logits.sums.isfinite().all()):
        reason = "the logits hold NaN or inf"
    means = [math.nan] * 5 if reason else (logits.sums.sum(0) / terms).tolist()
    beside = dict(zip(("norm", "margin", "accuracy", "squared"), means[1:], strict=True))
    beside |= {
        "largest": math.nan if reason else logits.largest,
        "classes": float(logits.classes) if not reason else math.nan,
        "terms": math.nan if reason else terms,
    }
    return Measurement(
        np.array(means[0]),
        error=np.array(math.nan if reason else error_of_ratio(logits.sums[:, 0], logits.terms)),
        status=np.array(Status.failed if reason else Status.ok),
        beside={name: np.array(number) for name, number in beside.items()},
        skipped={"": reason} if reason else {},
    )


METRIC = Metric(
    name="output_logits",
    group="activations",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    dims=(),
    unit="nats",
    what="mean log Z of the output logits, with their norm and margin",
    paper="Wortsman et al. 2023, arXiv:2309.14322",
    cost="one forward pass, shared by all metrics of activations",
)
