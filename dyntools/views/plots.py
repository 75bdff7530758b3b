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

from matplotlib.figure import Figure

from dyntools.report import Report, Series
from dyntools.views import training
from dyntools.views.curves import curves
from dyntools.views.dashboard import dashboard
from dyntools.views.dots import dots
from dyntools.views.heat_map import heat_map
from dyntools.views.label_map import label_map
from dyntools.views.parts import kind, parts
from dyntools.views.probes import told
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
        for stem, part in parts(series):
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


FIGURES = {
    "curves": curves,
    "dots": dots,
    "heat map": heat_map,
    "label map": label_map,
    "surface": surface,
    "spectra": spectra,
}


def _figure(series: Series, subtitle: str) -> Figure | None:
    drawer = FIGURES.get(kind(series))
    return None if drawer is None else drawer(series, subtitle)


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
