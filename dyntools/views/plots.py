"""Plots: the figures of a report, one for the run, one for its log, one for each metric.

Which kind a metric gets follows from its dims and its steps: curves for one number a step, a few
layers or ranks, a heat map for many layers, dots for a single step, small panels for spectra,
contours for a plane. A metric with ranks in every block gets two: the ranks of all parameters, and
the first rank of the blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dyntools.report import Report, Series
from dyntools.views import training
from dyntools.views.curves import FEW, curves
from dyntools.views.dashboard import dashboard
from dyntools.views.dims import (
    WHOLE,
    alone,
    firsts,
    is_axis,
    is_index,
    is_numeric,
    plural,
    whole,
    words,
)
from dyntools.views.dots import dots
from dyntools.views.heat_map import heat_map
from dyntools.views.label_map import label_map
from dyntools.views.numbers import label
from dyntools.views.probes import told
from dyntools.views.selection import measured_rows, taken
from dyntools.views.spectra import spectra
from dyntools.views.style import save, styled, writable
from dyntools.views.surface import surface

__all__ = ["plots", "save"]


def plots(report: Report, metric: str | None = None) -> Iterator[tuple[str, Figure]]:
    """File stems and figures; those of one metric only, if one is given.

    A metric without a single number has no figure. Raises ReportError for an unknown metric.
    """
    report = _writable(report)
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
        for stem, part in _parts(series):
            with styled():
                drawn = _figure(part, _subtitle(run, part))
            if drawn is not None:
                yield stem, drawn


def _writable(report: Report) -> Report:
    """The report with all words that come to stand in a figure as its font can write them."""
    series = {
        name: replace(
            one,
            what=writable(one.what),
            unit=writable(one.unit),
            paper=writable(one.paper),
            step_unit=writable(one.step_unit),
            coords={dim: tuple(map(_label, labels)) for dim, labels in one.coords.items()},
        )
        for name, one in report.series.items()
    }
    run = writable(str(report.attributes.get("run", "")))
    return replace(report, series=series, attributes={**report.attributes, "run": run})


def _label(label: str | float) -> Any:
    return writable(label) if isinstance(label, str) else label


def _subtitle(run: str, series: Series) -> str:
    first = " · ".join(part for part in (run, series.paper) if part)
    return "\n".join(line for line in (first, writable(told(series))) if line)


def _parts(series: Series) -> Iterator[tuple[str, Series]]:
    """What is drawn of a series under which stem: the whole, or all parameters and then blocks."""
    series = alone(series)
    everything = whole(series)
    yield series.metric, series if everything is None else everything
    if everything is not None and len(series.dims) == 2:
        first = series.dims[0]
        blocks = [i for i, name in enumerate(series.coords[first]) if name != WHOLE]
        rank = f"{words(series.dims[1])} {label(series.coords[series.dims[1]][0])}"
        part = firsts(taken(series, first, blocks))
        what = f"{part.what}, {rank} of each {words(first)}"
        yield f"{series.metric}_{plural(first)}", replace(part, what=what)


def _figure(series: Series, subtitle: str) -> Figure | None:
    if not np.isfinite(series.values).any():
        return None
    steps = len(measured_rows(series))
    if not series.dims:
        return curves(series, subtitle)
    last = series.coords[series.dims[-1]]
    if len(series.dims) == 1 and not is_axis(last):
        if steps == 1:
            return dots(series, subtitle)
        few = len(last) <= FEW or is_index(last)
        return (curves if few else heat_map)(series, subtitle)
    if len(series.dims) == 2 and not is_numeric(last):
        return label_map(series, subtitle)
    if len(series.dims) > 2:
        return None
    plane = len(series.dims) == 2 and all(is_axis(series.coords[dim]) for dim in series.dims)
    return (surface if plane else spectra)(series, subtitle)


def _run_line(report: Report) -> str:
    steps = sorted(row.step for row in report.checkpoints if row.step is not None)
    span = f"{report.step_unit} {steps[0]} to {steps[-1]}" if steps else ""
    layers = {name for s in report.series.values() for name in s.coords.get("layer", ())}
    version = report.attributes.get("dyntools_version", "")
    parts = (
        f"{len(steps)} checkpoints, {span}" if steps else "",
        "layers from dark (first) to light (last)" if layers else "",
        f"dyntools {version}" if version else "",
    )
    return " · ".join(part for part in parts if part)
