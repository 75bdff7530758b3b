"""Summary: what `analyze` prints: one table each for the layers, the whole model, the further
metrics and the log."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Group, RenderableType
from rich.text import Text

from dyntools.report import Report
from dyntools.views.cells import QUIET
from dyntools.views.dims import whole
from dyntools.views.fitted import Fitted
from dyntools.views.layer_table import PICKS, layer_table
from dyntools.views.log_table import LOGS, log_table
from dyntools.views.metric_lines import metric_lines
from dyntools.views.whole_lines import whole_lines


def summary(report: Report) -> RenderableType:
    """The layers, the whole model, the other metrics, and the log of a report."""
    measured = {name: series for name, series in report.series.items() if series.values.size}
    in_table = {pick.metric for pick in PICKS}
    layered = {n: s for n, s in measured.items() if s.dims == ("layer",)}
    picked = {name: series for name, series in layered.items() if name in in_table}
    of_model = [one for s in measured.values() if s.group != LOGS and (one := whole(s)) is not None]
    shown = {*picked, *(one.metric for one in of_model)}
    others = [s for name, s in measured.items() if s.dims and name not in shown]
    parts: list[Callable[[int], RenderableType]] = []
    if picked:
        parts.append(lambda width: layer_table(picked, width))
    if of_model:
        parts.append(lambda width: whole_lines(of_model, width))
    if others:
        parts.append(lambda width: metric_lines(others, width))
    if not parts:
        parts.append(lambda width: Text("No metric of layers was measured.", QUIET))
    if report.log is not None:
        parts.append(lambda width: log_table(report, width))
    return Fitted(lambda width: _stacked([part(width) for part in parts]))


def _stacked(parts: list[RenderableType]) -> RenderableType:
    return Group(*(line for part in parts for line in (part, Text())))
