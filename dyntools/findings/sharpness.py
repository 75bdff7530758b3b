"""Sharpness: the largest eigenvalue along a run over the threshold of its optimizer.

    r = λ_1 / threshold,      1 at the edge of stability

Of the Hessian for SGD, of the preconditioned Hessian for Adam; the metric has NaN as the threshold
of the one that does not apply. Every r is an interval: the error of the iteration bounds it, and
two standard errors of the sampling widen it where these were measured. Thresholds of all families
are proportional to 1/η, so r is also the learning rate over the largest stable one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dyntools.findings.rows import amount
from dyntools.report import Report, Series

METRICS = ("hessian_top", "adam_sharpness")
WHOLE = "all"
SAMPLING_ERRORS = 2.0  # standard errors on either side: about 95 %; chosen
# Measured on digits, over the second half of 2000 to 3000 steps: 0.85 to 1.14 with full batches
# (gradient descent at three rates, heavy ball at two, Adam at one), 0.79 to 1.04 with batches of 32
# and 128, 0.49 to 0.86 with batches of 8.
BELOW_EDGE, ABOVE_EDGE = 0.8, 1.2
SAME_RATE = 0.01  # relative change up to which a learning rate is constant; chosen
PAPERS = {
    "hessian_top": "Cohen et al. 2021, arXiv:2103.00065",
    "adam_sharpness": "Cohen et al. 2022, arXiv:2207.14484",
}


@dataclass(frozen=True, eq=False)
class Sharpness:
    """One metric at the steps with a value, a rate and a threshold, (m,) each, m ≥ 1.

    low, high: bounds of λ_1. sampled: whether they hold the sampling error.
    """

    metric: str
    unit: str
    probe: str
    sampled: bool
    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    rates: NDArray[np.float64]

    @property
    def ratio(self) -> NDArray[np.float64]:
        return np.asarray(self.values / self.thresholds)

    @property
    def lowest(self) -> NDArray[np.float64]:
        """The lower bounds of r."""
        return np.asarray(self.low / self.thresholds)

    @property
    def highest(self) -> NDArray[np.float64]:
        """The upper bounds of r."""
        return np.asarray(self.high / self.thresholds)

    @property
    def name(self) -> str:
        return "λ1 of the preconditioned Hessian" if self.metric == METRICS[1] else "λ1"

    def at(self, i: int) -> str:
        """`step 500`."""
        return f"{self.unit} {self.steps[i]}"

    def against(self, i: int) -> str:
        """`λ1 = 20.1 ± 0.3, threshold 20 at a learning rate of 0.1`."""
        half = (self.high[i] - self.low[i]) / 2
        error = f" ± {amount(half)}" if half > 0.005 * abs(self.values[i]) else ""
        return (
            f"{self.name} = {amount(self.values[i])}{error}, threshold "
            f"{amount(self.thresholds[i])} at a learning rate of {amount(self.rates[i])}"
        )

    @property
    def doubt(self) -> str:
        """What the numbers stand on, as evidence."""
        sampling = "" if self.sampled else "; the sampling error was not measured"
        return f"probe {self.probe}{sampling}" if self.probe else sampling.removeprefix("; ")


def sharpness(report: Report) -> tuple[Sharpness, ...]:
    """One for each metric that has anywhere a value and a threshold."""
    found = (_one(report.series.get(metric)) for metric in METRICS)
    return tuple(one for one in found if one is not None)


def along_rank(series: Series | None, rank: int) -> int | None:
    """Where a rank stands in the flattened entries of all parameters together; None if nowhere."""
    if series is None or series.dims not in (("rank",), ("block", "rank")):
        return None
    ranks = [float(label) for label in series.coords["rank"]]
    if rank not in ranks:
        return None
    if series.dims == ("rank",):
        return ranks.index(rank)
    blocks = list(series.coords["block"])
    return blocks.index(WHOLE) * len(ranks) + ranks.index(rank) if WHOLE in blocks else None


def bounds(
    series: Series, place: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], bool]:
    """Values, lower and upper bounds of one entry (S,), NaN unless ok; and if sampling is in."""
    values = np.where(_column(series.ok, place) == 1, _column(series.values, place), np.nan)
    error = np.zeros(len(values)) if series.error is None else _column(series.error, place)
    sampling = series.beside.get("sampling_error")
    spread = np.zeros(len(values)) if sampling is None else _column(sampling, place)
    width = np.nan_to_num(error) + SAMPLING_ERRORS * np.nan_to_num(spread)
    sampled = bool(np.isfinite(spread).all()) if sampling is not None else False
    return values, values - width, values + width, sampled


def _one(series: Series | None) -> Sharpness | None:
    place = along_rank(series, 1)
    if series is None or place is None:
        return None
    values, low, high, sampled = bounds(series, place)
    edges, rates = (_beside(series, name, place) for name in ("threshold", "learning_rate"))
    kept = np.isfinite(values) & np.isfinite(edges) & (edges > 0) & (rates > 0)
    if not kept.any():
        return None
    return Sharpness(
        series.metric, series.step_unit, str(series.settings.get("probe", "")), sampled,
        series.steps[kept], values[kept], low[kept], high[kept], edges[kept], rates[kept],
    )  # fmt: skip


def _beside(series: Series, name: str, place: int) -> NDArray[np.float64]:
    array = series.beside.get(name)
    return np.full(len(series.steps), math.nan) if array is None else _column(array, place)


def _column(array: NDArray[np.generic], place: int) -> NDArray[np.float64]:
    return np.asarray(array.reshape(len(array), -1)[:, place], dtype=np.float64)
