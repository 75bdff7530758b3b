"""Metric lines: every further metric in one line: its middle, its extremes and where they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from dyntools.report import Series
from dyntools.views.cells import QUIET
from dyntools.views.columns import Column, grid, no_room
from dyntools.views.dims import is_numeric, plural, words
from dyntools.views.names import shorten
from dyntools.views.numbers import MISSING, number
from dyntools.views.selection import entries, measured_rows

MIXED = "law"  # a dim whose entries have units of their own: no median, no highest
PLACE_WIDTH = 22  # columns for the name of a layer; chosen: two fit beside the numbers at 120


def metric_lines(all_series: Sequence[Series], width: int) -> RenderableType:
    """One row a metric with an axis of named entries; metrics with other axes are only named."""
    series = [
        one
        for one in all_series
        if len(one.dims) == 1 and not _numbers(one) and one.dims != (MIXED,)
    ]
    deeper = [
        f"{one.metric} ({' × '.join(map(words, one.dims))})"
        for one in all_series
        if one not in series
    ]
    parts: list[RenderableType] = []
    if series:
        cells = [_extremes(one) for one in series]
        headers = ("median", "highest", "in", "lowest", "in")
        columns = [
            Column(header, tuple(row[i] for row in cells), right=header != "in")
            for i, header in enumerate(headers)
        ]
        *over, last = dict.fromkeys(plural(one.dims[0]) for one in series)
        names = f"{', '.join(over)} or {last}" if over else last
        where = f" over the {names}, at the last step"
        found = grid("metric", [one.metric for one in series], columns, width)
        parts = [Text.assemble(("Further metrics", "bold"), where), found]
        parts += [Text(line, QUIET) for line in no_room(found)]
    if deeper:
        parts.append(Text(f"also measured: {', '.join(deeper)}", QUIET))
    return Group(*parts)


def _numbers(series: Series) -> bool:
    return is_numeric(series.coords[series.dims[0]])


def _extremes(series: Series) -> tuple[str, ...]:
    values = series.values[measured_rows(series)[-1]]
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return (MISSING, MISSING, "", MISSING, "")
    places = shorten(entries(series), PLACE_WIDTH).names
    high, low = known[np.argmax(values[known])], known[np.argmin(values[known])]
    middle = float(np.median(values[known]))
    return (
        *(number(middle), number(float(values[high])), places[high]),
        *(number(float(values[low])), places[low]),
    )
