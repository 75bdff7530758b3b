"""Probes: the examples that a number of curvature was measured on, shown, and never mixed.

One checkpoint had a sharpness of 20.4, 8.8 and 5.7 on 64, 256 and 1024 examples, so the numbers of
two probes are not comparable: whoever puts series side by side calls `same_probe` first.
"""

from __future__ import annotations

from collections.abc import Sequence

from dyntools.errors import ReportError
from dyntools.report import Series
from dyntools.views.names import printable

PROBE = "probe"


def probe_of(series: Series) -> str:
    """`1f3a…: 300 examples, eval, float32`; empty for a metric that needs no examples."""
    return printable(str(series.settings.get(PROBE, "")))


def told(series: Series) -> str:
    """The same as words for a caption or a line below a table."""
    probe = probe_of(series)
    return f"probe {probe}" if probe else ""


def same_probe(all_series: Sequence[Series]) -> None:
    """Raise ReportError when two of these series were measured on different probes.

    A series without a probe (a metric of weights) agrees with any.
    """
    named = [series for series in all_series if probe_of(series)]
    for other in named[1:]:
        if probe_of(other) != probe_of(named[0]):
            pair = dict.fromkeys((named[0].metric, other.metric))
            raise ReportError(
                f"Numbers of {' and '.join(pair)} were measured on different probes and cannot be "
                "compared.",
                found=f"{told(named[0])}; {told(other)}",
                remedy="measure both on the same examples, in the same mode and precision",
            )
