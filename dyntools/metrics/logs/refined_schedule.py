"""Refined schedule: the learning-rate schedule that the gradient norms of a run imply.

    w_t = ‖g_t‖₂^-2 (SGD)   or   ‖g_t‖₁^-1 (Adam)         of median-filtered norms
    η_t ∝ w_t Σ_{p > t} w_p                                divided by its largest

the schedule that minimises a bound on the last iterate of a convex problem whose gradients have
these norms. A constant norm gives linear decay, η_t ∝ 1 - t / T; a norm that falls gives warm-up at
the start, one that rises a faster end. The bound is for a run as long as the one that was logged,
and T is the last logged step.

A log has L2 norms. For Adam the paper takes the L1 norm; the L2 norm stands for it only as far as
their ratio stays the same over the run, which it does while the gradient keeps its shape. A norm
logged at every k-th step stands for the steps since the one before.

Defazio, Cutkosky, Mehta & Mishchenko 2023, When, why and how much? Adaptive learning rate
scheduling by refinement, arXiv:2310.07831.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dyntools.log import Role
from dyntools.measurement import Measurement, Status, skipped
from dyntools.metrics.logs.history import History, history, missing
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.snapshot import Snapshot

Values = NDArray[np.float64]
POSITIONS = tuple(round(i / 20, 2) for i in range(21))  # shares of the run; chosen: as fine as read
FEWEST = 20  # norms; chosen, no source: a median over a tenth of them has then two values
MOST = 4000  # norms that are filtered; more are first reduced to medians of neighbours
POWERS = {"sgd": -2.0, "adam": -1.0}


def filtered(norms: Values, share: float) -> Values:
    """Running median over `share` of the points, an odd number of them.

    Beyond the start the first value is repeated and at the end the curve is mirrored, as the
    authors' notes ask for.
    """
    from scipy.ndimage import median_filter

    width = 2 * (int(share * len(norms)) // 2) + 1
    pad = min(2 * width, len(norms) - 1)
    padded = np.pad(norms, (0, pad), mode="reflect")
    return np.asarray(median_filter(padded, size=width, mode="nearest"))[: len(norms)]


def schedule_of(weights: Values, spans: Values) -> Values:
    """η_t ∝ w_t Σ_{p > t} w_p with largest 1; weights, spans: (n,), each weight for so many steps.

    Two steps of equal weight give 1, 0; three give 1, 1/2, 0.
    """
    each = weights * spans
    behind = np.append(np.cumsum(each[::-1])[::-1][1:], 0.0)
    rates = weights * behind
    return np.asarray(rates / np.max(rates))


def thinned(curve: History) -> History:
    """At most MOST points: medians of equally many neighbours, at the last step of each."""
    size = -(-len(curve) // MOST)
    left = len(curve) % size
    steps = curve.steps[left:].reshape(-1, size)[:, -1]
    return History(steps, np.median(curve.values[left:].reshape(-1, size), axis=1))


def refined(curve: History, power: float, share: float, start: float) -> tuple[Values, Values]:
    """The schedule at POSITIONS and the filtered norm there; `start`: the step before the first."""
    steps = curve.steps.astype(np.float64)
    norms = filtered(curve.values, share)
    spans = np.diff(steps, prepend=start)
    rates = schedule_of((norms / np.median(norms)) ** power, np.maximum(spans, 1.0))
    at = start + np.asarray(POSITIONS) * (steps[-1] - start)
    return np.interp(at, steps, rates), np.interp(at, steps, norms)


@np.errstate(all="ignore")  # what is not finite is a status
def measure(
    snapshot: Snapshot, *, optimizer: str = "adam", filter_share: float = 0.1
) -> Measurement:
    """The schedule at 21 shares of the run so far, its largest value 1.

    optimizer: whose weights; a log does not say, and Adam is the commoner; chosen.
    filter_share: width of the running median as a share of the points; chosen, no source.
    """
    curve = history(snapshot, Role.gradient_norm).finite
    kept = curve.values > 0
    curve = History(curve.steps[kept], curve.values[kept])
    dims = ("position",)
    if not len(curve):
        return skipped(missing(snapshot, Role.gradient_norm), dims)
    if len(curve) < FEWEST:
        return skipped(f"{len(curve)} gradient norms above 0, {FEWEST} are needed", dims)
    full, curve = len(curve), thinned(curve)
    start = float(2 * curve.steps[0] - curve.steps[1])  # as if logged evenly before the first
    values, norms = refined(curve, POWERS[optimizer], filter_share, start)
    halves = [History(curve.steps[i::2], curve.values[i::2]) for i in (0, 1)]
    one, other = (refined(half, POWERS[optimizer], filter_share, start)[0] for half in halves)
    good = np.isfinite(values)
    rate = _logged(snapshot, curve, start)
    return Measurement(
        np.where(good, values, np.nan),
        dims,
        {"position": POSITIONS},
        error=np.abs(one - other) / 2,
        status=np.where(good, int(Status.ok), int(Status.failed)),
        beside={"learning_rate": rate, "gradient_norm": norms, "difference": rate - values},
        skipped={} if good.all() else {"": "the gradient norms are too large or too small"},
        method=(
            f"weights of {optimizer} from {full} logged L2 norms"
            + (f" in {len(curve)} medians" if len(curve) < full else "")
            + f"; running median over {filter_share:g} of them; error: half the difference between"
            " the schedules of every other point"
        ),
    )


def _logged(snapshot: Snapshot, norms: History, start: float) -> Values:
    """The learning rate of the log at POSITIONS, its largest over the run 1; NaN without one."""
    curve = history(snapshot, Role.learning_rate).finite
    if not len(curve) or not np.max(curve.values) > 0:
        return np.full(len(POSITIONS), np.nan)
    at = start + np.asarray(POSITIONS) * (norms.steps[-1] - start)
    rates = curve.values / np.max(curve.values)
    return np.asarray(np.interp(at, curve.steps.astype(np.float64), rates))


METRIC = Metric(
    name="refined_schedule",
    group="logs",
    version=1,
    measure=measure,
    needs=("log",),
    dims=("position",),
    unit="share of the peak",
    what="the learning-rate schedule that the logged gradient norms imply",
    paper="Defazio et al. 2023, arXiv:2310.07831",
    cost="reads the log",
    choices={"optimizer": ("adam", "sgd")},
    least={"filter_share": 0},
    most={"filter_share": 1},
)
