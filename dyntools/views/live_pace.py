"""Pace: where a recording is: its step, steps a second, and what measuring takes of the time.

    share = Σ seconds of the measurements before the last logged step / wall time up to it

It is the sum of what the metrics took, without copies of weights and the writing of lines; the note
that a recorder leaves at its end counts these in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np

from dyntools.report import Report
from dyntools.views.numbers import number

RECENT = 60.0  # seconds at the end over which the steps are counted; chosen
LEAST = 5  # logged points that this takes at least
UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True)
class Pace:
    """step: None before the first. NaN for what the journal does not tell.

    per_second: steps. elapsed: seconds up to the last logged step. share, budget: of wall time.
    """

    step: int | None
    per_second: float
    elapsed: float
    share: float
    budget: float


def pace(report: Report) -> Pace:
    """The pace of a recording at its last line."""
    log = report.log
    ends = [int(series.steps[-1]) for series in report.series.values() if len(series.steps)]
    if log is not None and log.last_step is not None:
        ends.append(log.last_step)
    timed = [] if log is None else [c for c in log.curves.values() if c.wall is not None]
    budget = report.attributes.get("budget")
    limit = float(budget) if isinstance(budget, int | float) else math.nan
    if not timed:
        return Pace(max(ends, default=None), math.nan, math.nan, math.nan, limit)
    longest = max(timed, key=lambda curve: len(curve.steps))
    assert longest.wall is not None
    elapsed = float(longest.wall[-1]) - _start(report, float(longest.wall[0]))
    spent = sum(
        float(np.nansum(series.seconds[series.steps < longest.steps[-1]]))
        for series in report.series.values()
    )
    recent = max(int((longest.wall >= longest.wall[-1] - RECENT).sum()), LEAST)
    steps, wall = longest.steps[-recent:], longest.wall[-recent:]
    took = float(wall[-1] - wall[0])
    return Pace(
        max(ends, default=None),
        float(steps[-1] - steps[0]) / took if took > 0 else math.nan,
        elapsed,
        spent / elapsed if elapsed > 0 else math.nan,
        limit,
    )


def _start(report: Report, otherwise: float) -> float:
    """When the recording began, in seconds since 1970."""
    try:
        began = datetime.fromisoformat(str(report.attributes["started"])).timestamp()
    except (KeyError, ValueError):
        return otherwise
    return min(began, otherwise)


def span(seconds: float) -> str:
    """`42 s`, `12 min 5 s`, `3 h 20 min`: the two largest units."""
    left = int(seconds)
    for (size, unit), (smaller, name) in pairwise(UNITS):
        if left >= size:
            rest = left % size // smaller
            return f"{left // size} {unit}" + (f" {rest} {name}" if rest else "")
    return f"{left} s"


def percent(share: float) -> str:
    return f"{number(100 * share, digits=2)} %"
