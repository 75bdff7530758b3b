"""Parts: what is drawn of a metric, and as what; of files and of pages.

Which kind follows from its dims and its steps: curves for one number a step, a few layers or ranks,
a heat map for many layers, dots for a single step, small panels for spectra, contours for a plane.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from dyntools.report import Series
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
from dyntools.views.lines import FEW
from dyntools.views.numbers import label
from dyntools.views.selection import measured_rows, taken


def parts(series: Series) -> Iterator[tuple[str, Series]]:
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


def kind(series: Series) -> str:
    """Of the figure of a part; "" where there is nothing to draw."""
    if not np.isfinite(series.values).any():
        return ""
    if not series.dims:
        return "curves"
    last = series.coords[series.dims[-1]]
    if len(series.dims) == 1 and not is_axis(last):
        if len(measured_rows(series)) == 1:
            return "dots"
        return "curves" if len(last) <= FEW or is_index(last) else "heat map"
    if len(series.dims) == 2 and not is_numeric(last):
        return "label map"
    if len(series.dims) > 2:
        return ""
    plane = len(series.dims) == 2 and all(is_axis(series.coords[dim]) for dim in series.dims)
    return "surface" if plane else "spectra"
