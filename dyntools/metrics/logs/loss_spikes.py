"""Loss spikes: how often the training loss jumps away from its own recent past.

    z_t         = (x_t - mean) / sd          of the w values before x_t, w = 1000
    spike score = 100 · share of values with |z_t| >= 7           in percent

on the training loss, and beside it on the norm of the gradient. The paper names neither the window
of the standard deviation nor whether x_t is in it. Here both moments are of the same w values, and
x_t is not among them: inside a window of w values no |z| can pass (w - 1) / sqrt(w), which is below
7 for w < 51. The score counts both directions, as written; `count` and all that follows it count
upward spikes only, neighbouring values as one.

Team OLMo 2025, 2 OLMo 2 Furious, arXiv:2501.00656.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dyntools.log import Role
from dyntools.measurement import Measurement, Status
from dyntools.metrics.logs.history import History, history, missing
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.snapshot import Snapshot

FEWEST = 20  # values a window must hold: |t| >= 7 with 19 degrees of freedom has p = 1e-6
SHARE = 5  # a window spans at most a fifth of a log, else the first descent hides all spikes


def rolling_moments(
    values: NDArray[np.float64], window: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation (ddof 1) of the min(i, window) values before each i, (n,) each.

    O(n), and without the difference of two large sums: the values are cut into blocks of one window
    (van Herk 1992, doi:10.1016/0167-8655(92)90069-C), so that each window is the end of one block
    and the beginning of the next. Welford's recurrence runs through all blocks at once, forwards
    and backwards, and Chan's formula joins the two pieces.
    """
    n = len(values)
    blocks = np.zeros((-(-n // window) + 1, window))  # (b, w); one block of zeros in front
    blocks.ravel()[window : window + n] = values
    head_mean, head_square = _running(blocks)  # (b, w + 1): of the first j values of a block
    tail_mean, tail_square = _running(blocks[:, ::-1])
    block, position = np.divmod(np.arange(n), window)
    a = np.where(block > 0, window - position, 0)  # values from the block before
    mean_a, square_a = tail_mean[block, a], tail_square[block, a]
    mean_b, square_b = head_mean[block + 1, position], head_square[block + 1, position]
    count = np.maximum(a + position, 1)
    shift = mean_b - mean_a
    mean = mean_a + shift * position / count
    square = square_a + square_b + shift**2 * a * position / count
    sd = np.sqrt(square / np.maximum(a + position - 1, 1))
    few = a + position < 2
    return np.where(a + position < 1, np.nan, mean), np.where(few, np.nan, sd)


def _running(blocks: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and sum of squared deviations of the first j columns, j = 0 … w; (b, w + 1) each."""
    mean = np.zeros((blocks.shape[0], blocks.shape[1] + 1))
    square = np.zeros_like(mean)
    for j in range(blocks.shape[1]):
        step = blocks[:, j] - mean[:, j]
        mean[:, j + 1] = mean[:, j] + step / (j + 1)
        square[:, j + 1] = square[:, j] + step * (blocks[:, j] - mean[:, j + 1])
    return mean, square


def scores(
    values: NDArray[np.float64], window: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """z of each value and the mean it is measured from, (n,) each.

    z is NaN for the first FEWEST values and behind a window that does not vary.
    """
    mean, sd = rolling_moments(values, window)
    judged = (np.arange(len(values)) >= FEWEST) & (sd > 0)
    return np.divide(values - mean, sd, out=np.full(len(values), np.nan), where=judged), mean


def window_for(count: int, window: int) -> int:
    """The paper's window, shortened where the log has fewer than SHARE times as many values."""
    return min(window, max(FEWEST, count // SHARE))


@np.errstate(over="ignore", invalid="ignore")  # losses near 1e308: inf and NaN say so
def measure(snapshot: Snapshot, *, window: int = 1000, deviations: float = 7.0) -> Measurement:
    """The spike score of the training loss.

    window, deviations: 1000 and 7 in Team OLMo 2025.
    """
    loss = history(snapshot, Role.train_loss).finite
    norm = history(snapshot, Role.gradient_norm).finite
    score, beside = _spikes(loss, window, deviations)
    gradient_score, gradient = _spikes(norm, window, deviations)
    beside |= {"gradient_norm_score": gradient_score, "gradient_norm_count": gradient["count"]}
    used = window_for(len(loss), window)
    shorter = f", shorter than {window} as the log has {len(loss)} values" if used < window else ""
    if not len(loss):
        status, reasons = Status.skipped, {"": missing(snapshot, Role.train_loss)}
    elif math.isnan(score):
        reason = f"{len(loss)} values; each is judged by at least {FEWEST} that vary before it"
        status, reasons = Status.failed, {"": reason}
    else:
        status, reasons = Status.ok, {}
    return Measurement(
        np.array(score),
        status=np.array(status),
        beside={name: np.array(value) for name, value in beside.items()},
        skipped=reasons,
        method=f"|z| >= {deviations:g} from the {used} values before{shorter}",
    )


def _spikes(curve: History, window: int, deviations: float) -> tuple[float, dict[str, float]]:
    """The score in percent, and what there is to say of the upward spikes."""
    z, mean = scores(curve.values, window_for(len(curve), window))
    judged = np.isfinite(z)
    beside = dict.fromkeys(
        ("last_step", "largest_z", "largest_step", "largest_value", "largest_rise"), math.nan
    )
    beside["judged"], beside["count"] = float(np.sum(judged)), math.nan
    beside["initial_loss"] = float(curve.values[0]) if len(curve) else math.nan
    if not judged.any():
        return math.nan, beside
    upward = np.where(judged, z, -np.inf) >= deviations
    beside["count"] = float(np.sum(upward & ~np.concatenate([[False], upward[:-1]])))
    largest = int(np.nanargmax(z))
    beside["largest_z"] = float(z[largest])
    beside["largest_step"] = float(curve.steps[largest])
    beside["largest_value"] = float(curve.values[largest])
    beside["largest_rise"] = float(curve.values[largest] - mean[largest])
    if upward.any():
        beside["last_step"] = float(curve.steps[np.flatnonzero(upward)[-1]])
    return 100 * float(np.mean(np.abs(z[judged]) >= deviations)), beside


METRIC = Metric(
    name="loss_spikes",
    group="logs",
    version=1,
    measure=measure,
    needs=("log",),
    dims=(),
    unit="%",
    what="share of training losses at least 7 standard deviations from their recent mean",
    paper="Team OLMo 2025, arXiv:2501.00656",
    cost="reads the log",
    least={"window": 1, "deviations": 0},
)
