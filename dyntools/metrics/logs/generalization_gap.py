"""Generalization gap: validation loss minus training loss, and how far past its best a run is.

    gap = E_va - E_tr                              in units of the loss
    GL  = 100 (E_va / E_opt - 1)                   E_opt = the lowest E_va so far, in percent
    P_k = 1000 (sum E_tr / (k min E_tr) - 1)       over the last k checks: a strip, in per mille
    PQ  = GL / P_k
    UP  = how many strips in a row ended higher than they began: E_va(t) > E_va(t - k), then
          E_va(t - k) > E_va(t - 2k), …

A check is a point of the validation curve; E_tr at a check is the mean of the training points since
the check before it. That is a mean over a moving model, in training mode, so the gap is that of the
log and not of one set of weights. Prechelt looks at UP and PQ at the ends of strips; here every
check ends a strip, so that each checkpoint has a value.

Prechelt 1998, Early stopping – but when?, doi:10.1007/3-540-49430-8_3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dyntools.log import Role
from dyntools.measurement import Measurement, Status, skipped
from dyntools.metrics.logs.history import History, history, missing
from dyntools.metrics.logs.trend import mann_kendall, theil_sen
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.snapshot import Snapshot

RECENT = 3  # checks; chosen, no source
MOST_RANKED = 300  # checks that are compared pair by pair, for their cost grows quadratically


@dataclass(frozen=True)
class Stopping:
    """Prechelt's three criteria at the last check; NaN where undefined.

    best: index of E_opt. gl_recent: GL of the median of the last RECENT checks, not in the paper,
    for a single check may be an outlier.
    """

    best: int
    gl: float
    gl_recent: float
    progress: float
    pq: float
    up: float


def stopping(train: NDArray[np.float64], validation: NDArray[np.float64], strip: int) -> Stopping:
    """train, validation: (n,) one entry a check, n > 0; train may hold NaN.

    By hand, for strips of 2: E_va = 1, 0.8, 0.6, 0.5, 0.55, 0.6 and E_tr = 1, 0.8, 0.6, 0.4, 0.3,
    0.2 give E_opt = 0.5, GL = 100 (0.6 / 0.5 - 1) = 20, P_2 = 1000 (0.5 / (2 · 0.2) - 1) = 250,
    PQ = 20 / 250 = 0.08, and UP = 1, for 0.6 > 0.5 but 0.5 < 0.8.
    """
    best = int(np.argmin(validation))
    gl = gl_recent = math.nan
    if validation[best] > 0:
        gl = 100 * float(validation[-1] / validation[best] - 1)
        gl_recent = 100 * float(np.median(validation[-RECENT:]) / validation[best] - 1)
    last = train[-strip:]
    progress = math.nan
    if len(last) == strip and np.min(last) > 0:  # false for NaN as well
        progress = 1000 * float(np.sum(last) / (strip * np.min(last)) - 1)
    pq = gl / progress if progress > 0 else math.nan
    return Stopping(best, gl, gl_recent, progress, pq, _strips_up(validation, strip))


def _strips_up(validation: NDArray[np.float64], strip: int) -> float:
    ends = validation[::-1][::strip]  # this check, one strip ago, two strips ago, …
    if len(ends) < 2:
        return math.nan
    rose = ends[:-1] > ends[1:]
    return float(len(rose) if rose.all() else np.argmin(rose))


def train_between(
    train: History, checks: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard error of the training points in (previous check, check], each (n,).

    A check without training points takes the last point before it, with no error.
    """
    n = len(checks)
    check = np.searchsorted(checks, train.steps, "left")  # (t,) the check each point belongs to
    check, values = check[check < n], train.values[check < n]
    counts = np.bincount(check, minlength=n).astype(np.float64)
    filled, several = counts > 0, counts > 1
    sums = np.bincount(check, values, minlength=n)
    means, errors = np.full(n, np.nan), np.full(n, np.nan)
    before = np.searchsorted(train.steps, checks, "right") - 1
    means[before >= 0] = train.values[before[before >= 0]]
    means[filled] = sums[filled] / counts[filled]
    squares = np.bincount(check, (values - means[check]) ** 2, minlength=n)
    errors[several] = np.sqrt(squares[several] / (counts[several] - 1) / counts[several])
    return means, errors


def rises_in_a_row(validation: NDArray[np.float64]) -> int:
    """How many of the last checks were each higher than the check before."""
    rose = np.diff(validation)[::-1] > 0
    return len(rose) if rose.all() else int(np.argmin(rose))


@np.errstate(over="ignore", invalid="ignore")  # losses near 1e308: inf and NaN say so
def measure(snapshot: Snapshot, *, strip: int = 5, window: int = 10) -> Measurement:
    """The gap at the last check.

    strip: checks in a strip, 5 in Prechelt 1998, section 2.1.
    window: checks that the slope of the gap is taken over; chosen, no source.
    """
    validation = history(snapshot, Role.validation_loss).finite
    if not len(validation):
        return skipped(missing(snapshot, Role.validation_loss))
    train, errors = train_between(history(snapshot, Role.train_loss).finite, validation.steps)
    gap = validation.values - train
    stop = stopping(train, validation.values, strip)
    known = np.flatnonzero(np.isfinite(gap))[-window:]
    trend = theil_sen(validation.steps[known].astype(np.float64), gap[known])
    beside = _best_and_last(train, validation, stop.best) | {
        "gl": stop.gl,
        "gl_recent": stop.gl_recent,
        "progress": stop.progress,
        "pq": stop.pq,
        "up": stop.up,
        "slope": trend.slope,
        "slope_low": trend.low,
        "slope_high": trend.high,
        "smallest_detectable_slope": (trend.high - trend.low) / 2,
    }
    return Measurement(
        np.array(gap[-1]),
        error=np.array(errors[-1]),
        status=np.array(Status.ok if np.isfinite(gap[-1]) else Status.skipped),
        beside={name: np.array(value) for name, value in beside.items()},
        skipped=_undefined(snapshot, stop, gap, validation, strip),
        method=(
            f"{len(validation)} checks; training loss: mean since the previous check; error: its "
            "standard error alone, the validation set's own is not in a log; slope: Theil-Sen over "
            f"{len(known)} checks"
        ),
    )


def _best_and_last(train: NDArray[np.float64], validation: History, best: int) -> dict[str, float]:
    steps, values = validation.steps, validation.values
    return {
        "train_loss": float(train[-1]),
        "validation_loss": float(values[-1]),
        "validation_step": float(steps[-1]),
        "checks": float(len(values)),
        "best_step": float(steps[best]),
        "best_validation_loss": float(values[best]),
        "train_loss_at_best": float(train[best]),
        "loss_above_best": float(values[-1] - values[best]),
        "steps_past_best": float(steps[-1] - steps[best]),
        "checks_past_best": float(len(values) - 1 - best),
        "rises_in_a_row": float(rises_in_a_row(values)),
        # Wherever the lowest check lies, those behind it are still exchangeable if nothing but
        # noise moves the loss, so their z is not biased by having picked the lowest.
        "rise_z": mann_kendall(values[best + 1 :][-MOST_RANKED:]),
    }


def _undefined(
    snapshot: Snapshot,
    stop: Stopping,
    gap: NDArray[np.float64],
    validation: History,
    strip: int,
) -> dict[str, str]:
    """Why a companion is NaN, for each that is."""
    reasons = {}
    if np.isnan(gap[-1]):
        reasons[""] = missing(snapshot, Role.train_loss)
    if math.isnan(stop.gl):
        lowest = validation.values[stop.best]
        reasons["gl"] = f"GL divides by the lowest validation loss, which is {lowest:.3g}, not > 0"
    if math.isnan(stop.progress):
        reasons["progress"] = f"P_k needs {strip} checks with a training loss above 0"
    if math.isnan(stop.up):
        reasons["up"] = f"UP needs {strip + 1} checks, there are {len(validation)}"
    return reasons


METRIC = Metric(
    name="generalization_gap",
    group="logs",
    version=1,
    measure=measure,
    needs=("log",),
    dims=(),
    unit="loss",
    what="validation loss minus training loss, with Prechelt's criteria for early stopping",
    paper="Prechelt 1998, doi:10.1007/3-540-49430-8_3",
    cost="reads the log",
    least={"strip": 1, "window": 1},
)
