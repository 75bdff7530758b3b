"""Plots: the figures of a report, one for the run, one for its log, one for each metric.

Which kind a metric gets follows from its dims and its steps: curves for one number a step or a few
layers, a heat map for many layers, dots for a single step, small panels for spectra.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from dyntools.report import Report, Series
from dyntools.views import training
from dyntools.views.curves import FEW, curves
from dyntools.views.dashboard import dashboard
from dyntools.views.dots import dots
from dyntools.views.heat_map import heat_map
from dyntools.views.selection import measured_rows
from dyntools.views.spectra import spectra
from dyntools.views.style import save, styled

__all__ = ["plots", "save"]


def plots(report: Report, metric: str | None = None) -> Iterator[tuple[str, Figure]]:
    """File stems and figures; those of one metric only, if one is given.

    A metric without a single number has no figure. Raises ReportError for an unknown metric.
    """
    run = str(report.attributes.get("run", ""))
    chosen = list(report.series.values()) if metric is None else [report[metric]]
    with styled():
        page = dashboard(report, _run_line(report)) if metric is None else None
    if page is not None:
        yield "overview", page
    if metric is None and report.log is not None and training.drawable(report.log):
        with styled():
            figure = training.training(report.log, run)
        yield "training", figure
    for series in chosen:
        with styled():
            drawn = _figure(series, " · ".join(part for part in (run, series.paper) if part))
        if drawn is not None:
            yield series.metric, drawn


def _figure(series: Series, subtitle: str) -> Figure | None:
    if not np.isfinite(series.values).any():
        return None
    steps = len(measured_rows(series))
    if not series.dims:
        return curves(series, subtitle)
    if len(series.dims) == 1:
        if steps == 1:
            return dots(series, subtitle)
        few = len(series.coords[series.dims[0]]) <= FEW
        return (curves if few else heat_map)(series, subtitle)
    numeric = not isinstance(series.coords[series.dims[-1]][0], str)
    return spectra(series, subtitle) if len(series.dims) == 2 and numeric else None


def _run_line(report: Report) -> str:
    steps = sorted(row.step for row in report.checkpoints if row.step is not None)
    span = f"{report.step_unit} {steps[0]} to {steps[-1]}" if steps else ""
    layers = {name for s in report.series.values() for name in s.coords.get("layer", ())}
    parts = (
        f"{len(steps)} checkpoints, {span}" if steps else "",
        f"{len(layers)} layers, from dark (first) to light (last)" if layers else "",
        f"dyntools {report.attributes.get('dyntools_version', '')}".strip(),
    )
    return " · ".join(part for part in parts if part)
