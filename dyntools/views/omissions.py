"""Omissions: what was not measured and why, one row a reason; silence means nothing is missing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dyntools.report import Report
from dyntools.views.cells import QUIET
from dyntools.views.fitted import Fitted
from dyntools.views.names import printable, shorten
from dyntools.views.numbers import count
from dyntools.views.selection import LAYER

SHOWN = 3  # names and metrics spelt out for a reason
NAME_WIDTH = 30
_NUMBER = re.compile(r"\d+")


@dataclass
class _Reason:
    """Dictionaries as ordered sets. texts: wordings that differ in numbers only."""

    texts: dict[str, None] = field(default_factory=dict)
    entries: dict[str, None] = field(default_factory=dict)
    metrics: dict[str, None] = field(default_factory=dict)
    steps: dict[int, None] = field(default_factory=dict)
    of_tensors: bool = True  # else the entries are parts of a metric without layers


def omissions(report: Report) -> RenderableType:
    """Skipped tensors and metrics, grouped by reason."""
    return Fitted(lambda width: _built(report))


def _built(report: Report) -> RenderableType:
    reasons = _by_reason(report)
    metrics = report.attributes.get("left_out_metrics")
    left_out = dict(metrics) if isinstance(metrics, Mapping) else {}
    if not reasons and not left_out:
        return Group()
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(overflow="fold", ratio=1)
    table.add_column(overflow="fold", ratio=1)
    for reason in sorted(reasons, key=lambda reason: -len(reason.entries)):
        what = _what(reason, report.step_unit)
        table.add_row(Text(printable(_wording(list(reason.texts)))), Text(what, QUIET))
    for metric, text in left_out.items():
        table.add_row(Text(printable(str(text))), Text(printable(str(metric)), QUIET))
    return Group(Text("Not measured", "bold"), table, Text())


def _by_reason(report: Report) -> list[_Reason]:
    reasons: dict[str, _Reason] = {}
    for series in report.series.values():
        for omission in series.omissions:
            early = len(series.steps) and int(series.steps[-1]) not in omission.steps
            if early and LAYER not in series.dims:
                continue  # too few points at first is how every log begins
            reason = _noted(reasons, omission.reason, omission.entry)
            reason.metrics[series.metric] = None
            reason.of_tensors = LAYER in series.dims
            reason.steps.update(dict.fromkeys(omission.steps))
    tensors = report.attributes.get("left_out_tensors")
    for entry, text in tensors.items() if isinstance(tensors, Mapping) else ():
        _noted(reasons, str(text), str(entry))
    return list(reasons.values())


def _noted(reasons: dict[str, _Reason], text: str, entry: str) -> _Reason:
    reason = reasons.setdefault(_NUMBER.sub("N", text), _Reason())
    reason.texts[text] = None
    reason.entries[entry] = None
    return reason


def _wording(texts: list[str]) -> str:
    """One sentence for wordings alike but for their numbers: those that differ become N."""
    rows = [_NUMBER.findall(text) for text in texts]
    same = iter([len(set(column)) == 1 for column in zip(*rows, strict=True)])
    return _NUMBER.sub(lambda found: found[0] if next(same) else "N", texts[0])


def _what(reason: _Reason, unit: str) -> str:
    """`12 tensors: a, b, c and 9 more (layer_rotation)`, or `at step 0 (angular_update)`."""
    entries = [entry for entry in reason.entries if entry]
    if entries:
        names = shorten(entries[:SHOWN], NAME_WIDTH).names
        what = _listed(names, len(entries))
        if reason.of_tensors:
            what = f"{count(len(entries), 'tensor')}: {what}"
    else:
        steps = [str(step) for step in sorted(reason.steps)]
        what = f"at {unit} {_listed(steps[:SHOWN], len(steps))}"
    metrics = list(reason.metrics)
    return what + (f" ({_listed(metrics[:SHOWN], len(metrics))})" if metrics else "")


def _listed(shown: list[str] | tuple[str, ...], total: int) -> str:
    return ", ".join(shown) + (f" and {total - len(shown)} more" if total > len(shown) else "")
