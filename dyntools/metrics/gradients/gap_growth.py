"""gap_growth: by how much one step widens the gap between training and validation loss.

    value = η tr Σ / N                                                     unit: loss per step

A step -η Ĝ along the mean gradient of N examples, at weights that do not depend on them, lowers
their loss by η|Ĝ|² and that of fresh examples by η Ĝ·G: on average η tr Σ / N less, to first order
in η. Roberts 2021, SGD implicitly regularizes generalization error, arXiv:2104.04874. Weights that
have seen the examples before are no longer independent of them: then it is a trend. Under Adam
steps are -η P⁻¹Ĝ, and the value is η tr(P⁻¹Σ) / N.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dyntools.errors import CheckpointError
from dyntools.measurement import Measurement, Status
from dyntools.metrics.gradients import noise
from dyntools.metrics.gradients.statistics import statistics, told
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.snapshot import Snapshot

NO_RATE = "the learning rate is not known: --metric gap_growth:lr=…"


def measure(snapshot: Snapshot, *, examples: int = 0, lr: float = 0.0) -> Measurement:
    """The growth with one standard error, that of the trace.

    examples: N, what the run trains on; 0 for those of the problem. lr: η; 0 for that of the
        optimizer's state, or else of the log.
    """
    found = statistics(snapshot)
    one, scaled = noise.of_all(found), noise.preconditioned(found)
    rate, count = lr or learning_rate(snapshot), examples or found.examples
    trace = one.trace if scaled is None else scaled.trace
    value = rate * float(trace) / count
    fine = math.isfinite(value)
    error = float(one.trace_error / one.trace) * value if fine and one.trace > 0.0 else math.nan
    why = NO_RATE if not math.isfinite(rate) else "a gradient is NaN or infinite"
    known = Status.failed if math.isfinite(rate) else Status.skipped
    told_of = "tr(P⁻¹Σ) of Adam" if scaled is not None else "tr Σ, as of SGD"
    return Measurement(
        np.array(value),
        error=np.array(error),
        status=np.array(Status.ok if fine else known),
        beside={
            "sgd": np.array(rate * float(one.trace) / count),
            "trace": np.array(one.trace),
            "learning_rate": np.array(rate),
            "examples": np.array(float(count)),
        },
        skipped={} if fine else {"": why},
        method=f"{told_of}; {told(found)}",
    )


def learning_rate(snapshot: Snapshot) -> float:
    """Of the optimizer's state, else the last of the log; NaN where neither tells."""
    from dyntools.log import Role
    from dyntools.operators import stability

    try:
        state = snapshot.optimizer
    except CheckpointError:
        state = None
    rate = math.nan if state is None else stability.learning_rate(state)
    curve = None if snapshot.log is None else snapshot.log.curve(Role.learning_rate)
    if math.isfinite(rate) or curve is None or not len(curve.values):
        return rate
    return float(curve.values[-1])


METRIC = Metric(
    name="gap_growth",
    group="gradients",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    dims=(),
    unit="loss / step",
    what="growth of the generalisation gap by one step",
    paper="Roberts 2021, arXiv:2104.04874",
    cost="2 to 3 gradients, shared by all metrics of gradients by examples",
    least={"examples": 0, "lr": 0.0},
)
