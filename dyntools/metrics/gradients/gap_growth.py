"""gap_growth: by how much one step widens the gap between training and validation loss.

    value = η tr Σ / N                                                     unit: loss per step

A step -η Ĝ along the mean gradient of N examples, at weights that do not depend on them, lowers
their loss by η|Ĝ|² and that of fresh examples by η Ĝ·G: on average η tr Σ / N less, to first order
in η. Roberts 2021, SGD implicitly regularizes generalization error, arXiv:2104.04874. Weights that
have seen the examples before are no longer independent of them: then it is a trend. Under Adam
steps are -η P⁻¹m̂, with P = √v̂ + eps and m̂ a mean of gradients whose weights sum to one from the
first step on: the value is η tr(P⁻¹Σ) / N. Of other optimizers, and without a state, there is none
but that of SGD, where it is asked for.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dyntools.measurement import Measurement, Status
from dyntools.metrics.gradients import noise
from dyntools.metrics.gradients.statistics import statistics, told
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.problem.per_example import PerExample
    from dyntools.snapshot import Snapshot

NO_RATE = "the learning rate is not known: --metric gap_growth:lr=…"
NO_STEP = "the learning rate of the next step is zero, as where a schedule ends or begins"
SGD = "rule=sgd, or the companion `sgd`, takes steps for those of SGD"


def measure(
    snapshot: Snapshot, *, examples: int = 0, lr: float = 0.0, rule: str = "state"
) -> Measurement:
    """The growth with one standard error, that of the trace.

    examples: N, what the run trains on; 0 for the `dataset_size` of the recipe, or else those of
        the problem. lr: η; 0 for that of the optimizer's state, or else of the log.
    rule: `state`: as the optimizer's state tells, so that no series mixes two; `sgd`.
    """
    found = statistics(snapshot)
    one, (taken, told_of) = noise.of_all(found), _taken(snapshot, found, rule)
    rate = lr or learning_rate(snapshot)
    count = float(examples or snapshot.recipe.dataset_size or found.examples)
    factor = rate / count if rate > 0.0 else math.nan
    value = math.nan if taken is None else factor * float(taken.trace)
    error = math.nan if taken is None else factor * float(taken.trace_error)
    missing = ((NO_STEP if rate == 0.0 else NO_RATE) if not rate > 0.0 else "") or (
        told_of if taken is None else ""
    )
    fine = math.isfinite(value)
    why = missing or "a gradient is NaN or infinite"
    return Measurement(
        np.array(value),
        error=np.array(error),
        status=np.array(Status.ok if fine else Status.skipped if missing else Status.failed),
        beside={
            "sgd": np.array(factor * float(one.trace)),
            "trace": np.array(one.trace),
            "learning_rate": np.array(rate),
            "examples": np.array(count),
        },
        skipped={} if fine else {"": why},
        method=f"{told_of}; {told(found)}" if taken is not None else told(found),
    )


def _taken(snapshot: Snapshot, found: PerExample, rule: str) -> tuple[noise.Noise | None, str]:
    """What the steps are scaled by, and its name; None where they are not known, and why."""
    if rule == "sgd":
        return noise.of_all(found), "tr Σ, as of SGD"
    scaled = noise.preconditioned(found)
    if scaled is not None:
        return scaled, "tr(P⁻¹Σ) of Adam"
    state = snapshot.known_optimizer
    if state is None:
        return None, f"there is no state of the optimizer to tell its steps by; {SGD}"
    if state.family == "sgd":
        return noise.of_all(found), "tr Σ, as of SGD"
    if state.family.startswith("adam"):
        return None, f"the state has no second moments of Adam for all parameters; {SGD}"
    return None, f"the optimizer ({state.family}) is neither SGD nor Adam; {SGD}"


def learning_rate(snapshot: Snapshot) -> float:
    """Of the optimizer's state, else the last of the log; NaN where neither tells."""
    from dyntools.log import Role
    from dyntools.operators import stability

    state = snapshot.known_optimizer
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
    choices={"rule": ("state", "sgd")},
    least={"examples": 0, "lr": 0.0},
)
