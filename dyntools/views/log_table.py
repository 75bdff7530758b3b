"""Log table: where each curve of the training log began, where it is, its best or its peak."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text

from dyntools.log import Role
from dyntools.report import Report
from dyntools.views.cells import FAILED, QUIET, spark_cell
from dyntools.views.columns import Column, grid
from dyntools.views.numbers import DIMENSIONLESS, number
from dyntools.views.selection import measured_rows

# Whether the lowest or the highest point of a curve is the one to know. Other roles only count.
EXTREMES = {
    Role.train_loss: "min",
    Role.validation_loss: "min",
    Role.train_accuracy: "max",
    Role.validation_accuracy: "max",
    Role.learning_rate: "max",
    Role.gradient_norm: "max",
}

LOGS = "logs"  # the group of metrics that are shown beside the curves


@dataclass(frozen=True, eq=False)
class _Line:
    """steps, values: (n,), n > 0. extreme: "min" or "max". error: of the last value."""

    name: str
    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    extreme: str
    error: float = math.nan

    @property
    def place(self) -> int | None:
        """Where the extreme lies, None if no value is finite."""
        known = np.flatnonzero(np.isfinite(self.values))
        if not len(known):
            return None
        pick = np.argmin if self.extreme == "min" else np.argmax
        return int(known[pick(self.values[known])])


def log_table(report: Report, width: int) -> RenderableType:
    """The curves that play a role, and the metrics of the log."""
    log = report.log
    lines = [*_curves(report), *_metrics(report)]
    if log is None or not lines:
        return Text("No curve of the log plays a known role (--role ROLE=NAME).", QUIET)
    columns = [
        Column("first", tuple(_number(float(line.values[0])) for line in lines)),
        Column("last", tuple(_number(float(line.values[-1]), line.error) for line in lines)),
        Column("extreme", tuple(_extreme(line) for line in lines)),
        Column(f"at {log.unit}", tuple(_place(line) for line in lines)),
        Column("along steps", tuple(spark_cell(line.values, width) for line in lines), right=False),
    ]
    title = Text.assemble(("Training log", "bold"), f" up to {log.unit} {log.last_step}")
    return Group(title, grid("curve", [line.name for line in lines], columns, width))


def _curves(report: Report) -> list[_Line]:
    lines = []
    for role, extreme in EXTREMES.items():
        curve = report.log.curve(role) if report.log is not None else None
        if curve is not None:
            lines.append(_Line(_words(role), curve.steps, curve.values, extreme))
    return lines


def _metrics(report: Report) -> list[_Line]:
    """Metrics of one number a step; where one was never measured there is nothing to show."""
    lines = []
    for series in report.series.values():
        if series.dims or series.group != LOGS or np.isnan(series.values).all():
            continue
        rows = measured_rows(series)
        rows = rows[rows >= np.flatnonzero(~np.isnan(series.values))[0]]  # too few points before
        error = math.nan if series.error is None else float(series.error[rows[-1]])
        name = _words(series.metric) + (
            f" ({series.unit})" if series.unit not in (*DIMENSIONLESS, "loss") else ""
        )
        lines.append(_Line(name, series.steps[rows], series.values[rows], "max", error))
    return lines


def _words(name: str) -> str:
    return name.replace("_", " ")


def _number(value: float, error: float = math.nan) -> Text:
    """NaN in a log is no gap but a divergence, and is called by its name."""
    return Text("NaN", FAILED) if math.isnan(value) else Text(number(value, error))


def _extreme(line: _Line) -> str:
    at = line.place
    return "" if at is None else f"{line.extreme} {number(float(line.values[at]))}"


def _place(line: _Line) -> str:
    at = line.place
    return "" if at is None else str(line.steps[at])
