"""Companion: a number beside a metric, as a series that is compared like any other."""

from __future__ import annotations

from dataclasses import replace

from dyntools.checks.reading import companion_of
from dyntools.report import Report, Series


def series_of(report: Report, metric: str) -> Series:
    """A metric of a report; `METRIC.COMPANION` its companion, with COMPANION_error if there is.

    The unit is that of the metric; no report knows the unit of a companion, which is "" here.
    """
    name, _, companion = metric.partition(".")
    series = report[name]
    if not companion:
        return series
    values, error = companion_of(series, companion)
    what = f"{companion.replace('_', ' ')} beside {series.what}"
    return replace(series, metric=metric, values=values, error=error, what=what, unit="")
