"""Headline: a metric as one number a step, for a summary of many.

A metric without axes is its own headline; of an index (ranks, batch sizes) it is the first entry,
such as the largest eigenvalue; of blocks the one of all parameters; of layers the median over those
that all reports have. Of further names (sets of axes, forms) the first is taken, and said. Curves
and spectra over other numbers have no headline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dyntools.comparison.entries import words
from dyntools.comparison.side import Side
from dyntools.measurement import Coordinate, Status
from dyntools.report import Report, Series

WHOLE = "all"  # the block of all parameters together
MEDIAN, MEDIAN_OVER = "median", ("layer", "block")


@dataclass(frozen=True, eq=False)
class Headline:
    """of: what was taken, such as `median of 6 layers`. sides: with this metric alone, no dims.

    median: whether it is one of several entries, and so has no error of its own.
    """

    of: str
    sides: tuple[Side, ...]
    median: bool


def headline(sides: Sequence[Side], metric: str) -> Headline | None:
    """The metric reduced to one number a step; None where it has none.

    A median has no error: that of its middle entry would claim more than is known.
    """
    all_series = [series for side in sides for series in side.all(metric)]
    if not all_series or len({series.dims for series in all_series}) > 1:
        return None
    picks: list[list[str | float]] = []
    told = []
    for dim in all_series[0].dims:
        shared = _shared([series.coords[dim] for series in all_series])
        if not shared or is_curve(shared):
            return None
        if dim in MEDIAN_OVER and WHOLE not in shared:
            picks.append(shared)
            told.append(
                f"{MEDIAN} of {len(shared)} {words(dim)}s" if len(shared) > 1 else shared[0]
            )
        else:
            picks.append([WHOLE if WHOLE in shared else shared[0]])
            told.append("" if picks[-1] == [WHOLE] else f"{words(dim)} {picks[-1][0]}")
    reduced = tuple(
        replace(side, reports=tuple(_with(r, metric, picks) for r in side.reports))
        for side in sides
    )
    of = ", ".join(str(part) for part in told if part)
    return Headline(of, reduced, median=any(len(labels) > 1 for labels in picks))


def is_curve(labels: Coordinate | Sequence[str | float]) -> bool:
    """Numbers that are no whole numbers: an axis that a curve is drawn over."""
    if not labels or any(isinstance(label, str) for label in labels):
        return False
    return not all(float(label).is_integer() for label in labels)


def _shared(all_labels: Sequence[Coordinate]) -> list[str | float]:
    """The labels that all have, in the order of the first."""
    return [x for x in all_labels[0] if all(x in labels for labels in map(set, all_labels[1:]))]


def _with(report: Report, metric: str, picks: Sequence[Sequence[str | float]]) -> Report:
    if metric not in report.series:
        return report
    return replace(report, series={metric: _reduced(report.series[metric], picks)})


def _reduced(series: Series, picks: Sequence[Sequence[str | float]]) -> Series:
    """The picked entries as one number a step: itself, or the median of what is known."""
    places = [
        [series.coords[dim].index(label) for label in labels]
        for dim, labels in zip(series.dims, picks, strict=True)
    ]
    rows = np.ix_(range(len(series.steps)), *places)
    values = series.values[rows].reshape(len(series.steps), -1)
    status = series.status[rows].reshape(len(series.steps), -1)
    if values.shape[1] == 1:
        one, worst = values[:, 0], status[:, 0]
        error = None if series.error is None else series.error[rows].reshape(-1)
    else:
        known = np.isfinite(values)
        pairs = zip(values, known, strict=True)
        one = np.array([np.median(v[k]) if k.any() else np.nan for v, k in pairs])
        worst = np.where(known.any(axis=1), Status.ok, status.min(axis=1)).astype(np.int8)
        error = None
    return replace(series, dims=(), coords={}, values=one, status=worst, error=error, beside={})
