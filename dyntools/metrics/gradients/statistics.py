"""The statistics of a snapshot's gradients by examples: one pass, shared by all metrics of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from dyntools.errors import CheckpointError, ProblemError
from dyntools.measurement import Measurement, Status

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor

    from dyntools.problem.per_example import PerExample
    from dyntools.snapshot import Snapshot


def statistics(snapshot: Snapshot) -> PerExample:
    """With products by the inverse of Adam's preconditioner where its second moments are there.

    Raises ProblemError as `Snapshot.risk` does, and when there are fewer than two examples.
    """
    from dyntools.problem.per_example import STATISTICS, per_example

    return snapshot.attempted(
        STATISTICS, lambda: per_example(snapshot.risk(), _preconditioner(snapshot))
    )


def measured(
    value: float, error: ArrayLike, beside: Mapping[str, ArrayLike], why: str, found: PerExample
) -> Measurement:
    """One number with its companions; where it is none it failed, and `why` says so."""
    fine = math.isfinite(value)
    return Measurement(
        np.array(value),
        error=np.asarray(error),
        status=np.array(Status.ok if fine else Status.failed),
        beside={name: np.asarray(number, dtype=np.float64) for name, number in beside.items()},
        skipped={} if fine else {"": why},
        method=told(found),
    )


def told(found: PerExample) -> str:
    """What a number rests on, for `method`."""
    units = f"{len(found.units.terms)} {'batches' if found.units.whole else 'examples'}"
    uneven = "" if found.units.even else ", which weigh by their terms"
    return f"{found.method}; {units}{uneven}"


def _preconditioner(snapshot: Snapshot) -> Tensor | None:
    """P = √v̂ + eps (n,) of Adam, None where there is none that covers the parameters.

    A step is -η P⁻¹m̂, and m̂ a mean of gradients whose weights sum to one. The P of `operators.adam`
    is of steps along m = (1-β1^t) m̂ and holds that factor, which is taken out again here.
    """
    from dyntools.moments import Moments, moments_of
    from dyntools.operators.adam import preconditioner

    try:
        state, risk = snapshot.moments, snapshot.risk()
        if state is None:
            return None
        scale = preconditioner(risk, state)
    except (CheckpointError, ProblemError):
        return None
    for name, part in zip(risk.layout.names, risk.layout.split(scale), strict=True):
        moments = moments_of(state, name, tuple(part.shape))
        assert isinstance(moments, Moments)  # or there were no P
        part.div_(1.0 - moments.beta1**moments.steps)
    return scale
