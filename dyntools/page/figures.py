"""Figures: which drawings a metric gets on the page; by the same rule as the files of `plot`."""

from __future__ import annotations

from collections.abc import Callable

from dyntools.page.curves import curves, draw
from dyntools.page.maps import Map, heat_map, label_map
from dyntools.page.panels import Panels, dots, spectra
from dyntools.page.plot import Plot
from dyntools.report import Report, Series
from dyntools.views.dims import whole
from dyntools.views.lines import FEW, level_of
from dyntools.views.parts import kind, parts
from dyntools.views.selection import LAYER, measured_rows, taken

Figure = Plot | Map | Panels
KINDS: dict[str, Callable[[Series], Figure]] = {
    "curves": curves,
    "dots": dots,
    "heat map": heat_map,
    "label map": label_map,
    "surface": label_map,
    "spectra": spectra,
}
STABILITY = ("hessian_top", "adam_sharpness")  # one of them has the optimizer's threshold


def figures(series: Series) -> tuple[Figure, ...]:
    """One for the whole, and one for the blocks where a metric has both; none without a number."""
    if not series.values.size or not len(series.steps):
        return ()
    return tuple(KINDS[kind(part)](part) for _, part in parts(series) if kind(part))


def sharpness(report: Report) -> Plot | None:
    """The largest eigenvalue against the threshold of the optimizer, None where none is known."""
    for metric in STABILITY:
        series = report.series.get(metric)
        ranks = None if series is None or not series.values.size else whole(series)
        if ranks is None or level_of(ranks) is None:
            continue
        values = ranks.values[measured_rows(ranks)].reshape(len(measured_rows(ranks)), -1)[:, :1]
        title = f"{metric.replace('_', ' ').capitalize()} against the threshold of the optimizer"
        return draw(ranks, values, None, ("sharpness",), level_of(ranks), title)
    return None


def of_layers(series: Series, layers: tuple[str, ...]) -> tuple[Figure, ...]:
    """The figures of the layers that a finding names, as many as can be told apart."""
    if series.dims == (LAYER,) and layers:
        known = list(series.coords[LAYER])
        chosen = [known.index(name) for name in layers if name in known][:FEW]
        if chosen:
            return figures(taken(series, LAYER, sorted(chosen)))
    return figures(series)[:1]
