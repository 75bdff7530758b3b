"""Quantities: what the axis of a figure says, and when it is logarithmic; of files and of pages."""

from __future__ import annotations

from dyntools.report import Series
from dyntools.views.numbers import DIMENSIONLESS

DECADES = 2.0  # a positive range wider than this is drawn on a logarithmic scale; chosen


def quantity(series: Series) -> str:
    """What an axis shows, with its unit if it has one."""
    words = series.metric.replace("_", " ")
    return words if series.unit in DIMENSIONLESS else f"{words} ({series.unit})"
