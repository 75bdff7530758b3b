"""Divergence: the training loss as a share of where it began.

    value         = current loss / initial loss            above 1: worse than before training
    progress_lost = (current - best) / (initial - best)    0: at its best, 1: all is lost

Initial is the first finite training loss in the log, current the median of the last w values, best
the lowest such median so far: medians, so that a single spike is no divergence. Without a standard
formula; that a loss which is not finite or above the initial one has diverged is the convention of
Wortsman et al., who clip at the loss at initialisation.

Wortsman et al. 2023, Small-scale proxies for large-scale Transformer training instabilities,
arXiv:2309.14322.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from dyntools.log import Role
from dyntools.measurement import Measurement, Status, skipped
from dyntools.metrics.logs.history import History, history, missing
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.snapshot import Snapshot


def smoothed(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Medians of `window` neighbouring values, (n - window + 1,); of all, if there are fewer."""
    return np.asarray(np.median(sliding_window_view(values, min(window, len(values))), axis=1))


def ratio_error(values: NDArray[np.float64], window: int) -> float:
    """Standard error of median / first value, if the first scatters as the last `window` do.

    A median of m values scatters by sqrt(pi / 2m) times as much as one of them.
    """
    last = values[-window:]
    if len(last) < 2:
        return math.nan
    scatter = float(np.std(last, ddof=1))
    return scatter * math.sqrt(1 + math.pi / (2 * len(last))) / abs(float(values[0]))


@np.errstate(over="ignore", invalid="ignore")  # losses near 1e308: inf and NaN say so
def measure(snapshot: Snapshot, *, window: int = 10) -> Measurement:
    """Current over initial training loss.

    window: values in a median; chosen, no source.
    """
    log = history(snapshot, Role.train_loss)
    if not len(log):
        return skipped(missing(snapshot, Role.train_loss))
    finite = log.finite
    beside = _losses(finite, window)
    bad = log.steps[~np.isfinite(log.values)]
    beside |= {"non_finite": float(len(bad)), "first_bad_step": math.nan}
    if len(bad):
        beside["first_bad_step"] = float(bad[0])
    beside["above_initial"] = math.nan
    reason, value, error = "", math.nan, math.nan
    if not np.isfinite(log.values[-1]):
        reason = f"the training loss at the last logged point, {log.steps[-1]}, is not finite"
    elif beside["initial_loss"] <= 0:
        reason = "a share of the initial loss needs it above 0"
    else:
        value = beside["current_loss"] / beside["initial_loss"]
        error = ratio_error(finite.values, window)
        beside["above_initial"] = float(value > 1)
    return Measurement(
        np.array(value),
        error=np.array(error),
        status=np.array(Status.failed if reason else Status.ok),
        beside={name: np.array(number) for name, number in beside.items()},
        skipped={"": reason} if reason else {},
        method=f"median of the last {min(window, len(finite))} finite values; error: their scatter",
    )


def _losses(finite: History, window: int) -> dict[str, float]:
    names = ("initial_loss", "current_loss", "best_loss", "best_step", "progress_lost")
    beside = dict.fromkeys(names, math.nan)
    if len(finite):
        medians = smoothed(finite.values, window)
        initial, current, best = finite.values[0], medians[-1], int(np.argmin(medians))
        beside["initial_loss"] = float(initial)
        beside["current_loss"] = float(current)
        beside["best_loss"] = float(medians[best])
        # A median stands at the last of its values.
        beside["best_step"] = float(finite.steps[best + len(finite) - len(medians)])
        if initial > medians[best]:
            beside["progress_lost"] = float((current - medians[best]) / (initial - medians[best]))
    return beside


METRIC = Metric(
    name="divergence",
    group="logs",
    version=1,
    measure=measure,
    needs=("log",),
    dims=(),
    unit="ratio",
    what="training loss as a share of its initial value",
    paper="Wortsman et al. 2023, arXiv:2309.14322",
    cost="reads the log",
    least={"window": 1},
)
