"""Second-moment SNR: how well means over some axes stand for Adam's second moment of a tensor.

    SNR_K = mean over K' of (mean_K v)² / var_K v          v: exp_avg_sq, var with ddof 0

K are the axes that are averaged away, K' the others. Large: along K all values are alike, and one
number may stand for them. Kalra et al. 2025, When can you get away with low memory Adam?,
arXiv:2503.01843 (SlimAdam), whose cutoff is 1.

v is itself a mean of only n_eff squared gradients, so that SNR_K stays near n_eff/2 where all true
values are the same: 0.5 after one step, (1+β2)/(2(1-β2)) in the end ("ceiling"). "corrected" takes
this noise of Gaussian gradients away:

    1/corrected = (1/SNR_K - 2/n_eff) / (1 + 2/n_eff)

It is infinite where the scatter is no larger than noise alone would make it. (Correction: ours.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dyntools.assembly import stack_layers
from dyntools.forms import mean_over
from dyntools.measurement import Measurement, Status, skipped
from dyntools.metrics.metric import Metric
from dyntools.metrics.optimizer.denominator import UNSEEN, precision
from dyntools.metrics.optimizer.tensors import method, moments

if TYPE_CHECKING:
    from dyntools.linalg.axis_moments import AxisMoments
    from dyntools.moments import Moments
    from dyntools.snapshot import Snapshot

DIMS = ("layer", "axes")
BESIDE = ("corrected", "n_eff", "ceiling", "kept", "size", "constant", "zero")
NOTHING = "fewer than two values: there is nothing to average"
DROPPED = "without slices that are all zero or constant"


def corrected(snr: float, n_eff: float) -> float:
    """The SNR without the noise of a mean of n_eff squared Gaussian gradients.

    Infinite where the scatter is no larger than that noise, as it is by chance where there is none.
    """
    noise = 2.0 / n_eff
    relative_variance = (1.0 / snr - noise) / (1.0 + noise) if snr else math.inf
    return 1.0 / relative_variance if relative_variance > 0.0 else math.inf


def ceiling(beta2: float) -> float:
    """n_eff/2 after many steps: the SNR of Gaussian gradients that are all of one variance."""
    return (1.0 + beta2) / (2.0 * (1.0 - beta2)) if beta2 < 1.0 else math.inf


def measure(snapshot: Snapshot) -> Measurement:
    """SNR of every tensor over each set of its axes."""
    parts = [_of_tensor(snapshot, name, found) for name, found in moments(snapshot).items()]
    return stack_layers(parts, DIMS)


def _of_tensor(snapshot: Snapshot, name: str, found: Moments | str) -> Measurement:
    """The SNR of one tensor, (1, sets of axes)."""
    from dyntools.linalg.axis_moments import axis_moments, subsets

    shape = snapshot.params.shapes.get(name, ()) if isinstance(found, str) else found.shape
    labels = tuple(",".join(map(str, axes)) for axes in subsets(shape))
    if not labels or not math.prod(shape):
        reason = found if isinstance(found, str) else NOTHING
        return replace(skipped(reason, DIMS), skipped={name: reason})
    if isinstance(found, str):
        return _nothing(name, shape, labels, Status.skipped, found)
    rows = [_ratio(over) for _, over in axis_moments(found.v())]
    if reason := _unusable(rows):
        return _nothing(name, shape, labels, Status.failed, reason)
    beside = {
        "corrected": [corrected(row.snr, found.n_eff) for row in rows],
        "n_eff": [found.n_eff] * len(rows),
        "ceiling": [ceiling(found.beta2)] * len(rows),
        "kept": [row.kept for row in rows],
        "size": [math.prod(shape)] * len(rows),
        "constant": [row.constant / row.kept for row in rows],
        "zero": [row.zero / row.kept for row in rows],
    }
    dropped = any(row.zero or row.constant for row in rows)
    return Measurement(
        np.array([[row.snr for row in rows]]),
        DIMS,
        {"layer": (name,), "axes": labels},
        error=np.array([[row.error for row in rows]]),
        beside={key: np.array([beside[key]]) for key in BESIDE},
        method="; ".join(
            filter(None, (method(snapshot), precision(snapshot), DROPPED if dropped else ""))
        ),
    )


@dataclass(frozen=True)
class _Ratio:
    """mean²/var over some axes: its mean over the slices, and how many of these there are."""

    snr: float
    error: float
    kept: int
    constant: int
    zero: int
    least: float
    finite: bool


def _ratio(over: AxisMoments) -> _Ratio:
    zero, constant = over.is_zero, over.is_constant
    ratios = (over.mean.square() / over.var)[~(zero | constant)]
    count, kept = ratios.numel(), zero.numel()
    snr = float(ratios.mean()) if count else math.inf
    error = float(ratios.std()) / math.sqrt(count) if count > 1 else math.nan
    finite = math.isfinite(float(over.mean.sum()))
    return _Ratio(snr, error, kept, int(constant.sum()), int(zero.sum()), over.least, finite)


def _unusable(rows: list[_Ratio]) -> str:
    """Why a tensor has no SNR; "" where it has."""
    if not all(row.finite for row in rows):
        return "the second moment holds NaN or inf"
    if rows[0].least < 0.0:
        return "the second moment holds negative values"
    return UNSEEN if rows[0].zero == rows[0].kept else ""


def _nothing(
    name: str, shape: tuple[int, ...], labels: tuple[str, ...], status: Status, reason: str
) -> Measurement:
    """A tensor without a number keeps its place and its sizes, which sums of memory need."""
    nan = np.full((1, len(labels)), np.nan)
    kept = [mean_over(*map(int, label.split(","))).values(shape) for label in labels]
    sizes = {"kept": np.array([kept]), "size": np.full(nan.shape, math.prod(shape))}
    return Measurement(
        nan,
        DIMS,
        {"layer": (name,), "axes": labels},
        error=nan,
        status=np.full(nan.shape, status, np.int8),
        beside={key: sizes.get(key, nan) for key in BESIDE},
        skipped={name: reason},
    )


METRIC = Metric(
    name="second_moment_snr",
    group="optimizer",
    version=1,
    measure=measure,
    needs=("params", "moments"),
    dims=DIMS,
    unit="1",
    what="squared mean over variance of second moments",
    paper="Kalra et al. 2025, arXiv:2503.01843",
    cost="one reading of the second moment",
    layerwise=True,
)
