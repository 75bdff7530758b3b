"""Unanswered: metrics that were asked for by name and have no number at any step, and why.

The tables show numbers alone; who asked for one by name is told why there is none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dyntools.report import Report, Series
from dyntools.views.names import printable


def unanswered(report: Report, asked: Sequence[str]) -> RenderableType:
    """One row for each of these metrics without a number: what was said at the latest step."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    for name in dict.fromkeys(asked):
        series = report.series.get(name)
        if series is not None and not np.isfinite(series.values).any() and series.omissions:
            table.add_row(Text("no number"), Text(printable(f"{name}: {_reason(series)}")))
    return Group(table, Text()) if table.row_count else Group()


def _reason(series: Series) -> str:
    return max(series.omissions, key=lambda omission: max(omission.steps, default=0)).reason
