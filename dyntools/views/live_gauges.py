"""Live gauges: the few numbers that tell where a run stands, each with its course, one a line.

Losses; the sharpness against the threshold of the optimizer; of metrics of layers the median with
the layer that is furthest on the side of concern; and what else was logged with a role.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text

from dyntools.findings.sharpness import sharpness
from dyntools.log import Role
from dyntools.report import Report, Series
from dyntools.views.cells import FAILED, QUIET
from dyntools.views.columns import GAP
from dyntools.views.dims import is_numeric, whole
from dyntools.views.names import shorten
from dyntools.views.numbers import number
from dyntools.views.selection import entries, measured_rows
from dyntools.views.sparkline import BLOCKS, sparkline

NAME, NOW = 20, 9  # columns of the name and of the value
NARROW_SPARK, WIDE_SPARK, WIDE = 14, 32, 110
FIRST = 10  # one of so many parts of a course may end outside of its scale; chosen
LOWER_BLOCKS = BLOCKS[:-1]  # lines of gauges stand close; a full block would touch the one above
NAME_OF_LAYER = 24
EDGE = 0.8  # of the threshold, from which the ratio is set in bold; findings.sharpness.BELOW_EDGE

LOSSES = (Role.train_loss, Role.validation_loss)
OTHERS = (
    Role.gradient_norm,
    Role.validation_accuracy,
    Role.train_accuracy,
    Role.learning_rate,
)


@dataclass(frozen=True)
class Middle:
    """A metric of layers as one number: its median. part: as of `layer_table.Pick`.

    worst: "max" or "min", the side on which a layer is named.
    """

    metric: str
    part: str
    name: str
    worst: str


MIDDLES = (
    Middle("layer_rotation", "", "rotation", "max"),
    Middle("effective_rank", "/null", "eff.rank × random", "min"),
    Middle("relative_update", "", "relative update", "max"),
    Middle("update_snr", "", "SNR of the update", "min"),
    Middle("rms_spike", "", "RMS spike", "max"),
    Middle("epsilon_underflow", "", "below epsilon", "max"),
)
UPDATE = "update"  # the direction of `directional_sharpness` that training moves along
WHOLE = ("directional_sharpness", "critical_sharpness", "batch_sharpness", "generalization_gap")


@dataclass(frozen=True, eq=False)
class Gauge:
    """now: the last value. course: (n,) along the steps. remark: what it is held against."""

    name: str
    now: Text
    course: NDArray[np.float64]
    remark: Text


def gauges(report: Report) -> list[Gauge]:
    """Those that the report has numbers for, the most telling first."""
    return [
        *_logged(report, LOSSES),
        *_curvature(report),
        *_middles(report),
        *_logged(report, OTHERS),
    ]


def gauge_lines(shown: list[Gauge], width: int) -> RenderableType:
    """One line each, cut to the width."""
    spark = WIDE_SPARK if width >= WIDE else NARROW_SPARK
    lines = []
    for gauge in shown:
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"{gauge.name:<{NAME}}"[:NAME], QUIET)
        line.append(GAP)
        line.append(" " * max(NOW - len(gauge.now.plain), 0))
        line.append_text(gauge.now)
        line.append(GAP)
        course = sparkline(_settled(gauge.course), spark, blocks=LOWER_BLOCKS)
        line.append(f"{course:<{spark}}", "blue")
        line.append(GAP)
        line.append_text(gauge.remark)
        line.truncate(width, overflow="ellipsis")
        lines.append(line)
    return Group(*lines)


def _settled(course: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) cut to the range of what follows the first tenth: a first descent hides all the rest."""
    later = course[len(course) // FIRST :]
    known = later[np.isfinite(later)]
    if len(course) < FIRST or not len(known):
        return course
    return np.clip(course, known.min(), known.max())


def _logged(report: Report, roles: Sequence[Role]) -> Iterator[Gauge]:
    log = report.log
    for role in roles:
        curve = None if log is None else log.curve(role)
        if curve is None:
            continue
        last = float(curve.values[-1])
        now = Text("NaN", FAILED) if np.isnan(last) else Text(number(last), "bold")
        finite = np.flatnonzero(np.isfinite(curve.values))
        remark = Text(style=QUIET)
        if role in LOSSES and len(finite):
            best = finite[np.argmin(curve.values[finite])]
            remark.append(f"lowest {number(float(curve.values[best]))} at {curve.steps[best]}")
        yield Gauge(role.replace("_", " "), now, curve.values, remark)


def _curvature(report: Report) -> Iterator[Gauge]:
    """Against its threshold where the optimizer tells one; else the largest eigenvalue alone."""
    found = sharpness(report)
    for one in found:
        ratio = float(one.ratio[-1])
        name = "sharpness" if one.metric == "hessian_top" else "sharpness (Adam)"
        remark = Text(f"{number(ratio)} × threshold {number(float(one.thresholds[-1]))}")
        remark.stylize("bold dark_orange" if ratio > 1 else "bold" if ratio >= EDGE else "")
        remark.append(f" at {one.steps[-1]}", QUIET)
        yield Gauge(name, Text(number(float(one.values[-1])), "bold"), one.ratio, remark)
    names = [] if found else ["hessian_top"]
    for name in (*names, *WHOLE):
        if name in report.series and (gauge := _of_model(report.series[name])) is not None:
            yield gauge


def _of_model(series: Series) -> Gauge | None:
    """A metric of the whole model; of one along directions that of the update, or the first."""
    named = len(series.dims) == 1 and not is_numeric(series.coords[series.dims[0]])
    labels = entries(series) if named else ()
    place = labels.index(UPDATE) if UPDATE in labels else 0
    ranks = series if named else whole(series)
    if ranks is None or not ranks.values.size:
        return None
    rows = measured_rows(ranks)
    course = ranks.values[rows].reshape(len(rows), -1)[:, place]
    known = np.flatnonzero(np.isfinite(course))
    if not len(known):
        return None
    name = f"along {labels[place]}" if named else series.metric.replace("_", " ")
    what = "curvature, " if named else ""
    remark = Text(f"{what}at {ranks.steps[rows][known[-1]]}", QUIET)
    return Gauge(name, Text(number(float(course[known[-1]])), "bold"), course, remark)


def _middles(report: Report) -> Iterator[Gauge]:
    for middle in MIDDLES:
        series = report.series.get(middle.metric)
        if series is None or series.dims != ("layer",) or not series.values.size:
            continue
        values = values_of(series, middle.part)
        known = np.isfinite(values)
        rows = np.flatnonzero(known.any(axis=1))
        if not len(rows):
            continue
        course = np.array([np.median(values[i][known[i]]) for i in rows])
        last = np.where(known[rows[-1]], values[rows[-1]], np.nan)
        place = int(np.nanargmax(last) if middle.worst == "max" else np.nanargmin(last))
        layer = shorten(entries(series), NAME_OF_LAYER).names[place]
        word = "highest" if middle.worst == "max" else "lowest"
        remark = Text(f"{word} {number(float(last[place]))} in {layer}", QUIET)
        yield Gauge(middle.name, Text(number(float(course[-1])), "bold"), course, remark)


def values_of(series: Series, part: str) -> NDArray[np.float64]:
    """(S, layers): the values, or over their null for "/null", or a companion."""
    if part == "/null":
        null = series.beside.get("null", np.full_like(series.values, np.nan))
        out = np.full_like(series.values, np.nan)
        return np.divide(series.values, null, out=out, where=null > 0)
    return series.beside.get(part, series.values) if part else series.values
