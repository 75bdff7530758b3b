"""Training end: where a training stopped, and which part of it a step is.

The same step of a shorter and a longer training lies at another part of the learning-rate schedule,
so that steps agree only where step / last step of the training does too.
"""

from __future__ import annotations

from dyntools.report import Report, Series

SAME = 0.005  # of the training, between steps whose numbers may be tested; chosen, no source


def end_of(report: Report, series: Series) -> float:
    """The last step of a training in the unit of a series, as far as the report knows it."""
    ends = [int(series.steps[-1])] if len(series.steps) else [0]
    if series.step_unit == report.step_unit:
        ends += [row.step for row in report.checkpoints if row.step is not None]
    if report.log is not None and report.log.unit == series.step_unit:
        ends.append(report.log.last_step or 0)
    return float(max(ends))
