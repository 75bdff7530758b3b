"""Provenance: where the numbers of a page come from, and what is not among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dyntools.page.blocks import Table, Words, blocks, tables
from dyntools.report import Report
from dyntools.views.names import printable
from dyntools.views.numbers import number
from dyntools.views.omissions import omissions
from dyntools.views.probes import probe_of

# Attributes that are told elsewhere on the page, or are as long as the model.
ELSEWHERE = ("run", "left_out_metrics", "left_out_tensors", "shapes", "step_unit")
PARTS = {
    "weights": "Metrics of weights were not measured: `dyntools analyze RUN --preset weights`.",
    "optimizer": "Metrics of Adam's state were not measured: they need checkpoints that hold the "
    "state of the optimizer, `dyntools analyze RUN --preset optimizer`.",
    "curvature": "Curvature was not measured: it needs the loss of the run, `dyntools analyze RUN "
    "--preset curvature --problem FILE.py:NAME`.",
}


def checkpoints(report: Report) -> Table:
    """Every checkpoint found, and what became of it."""
    rows = []
    for row in report.checkpoints:
        tone = "" if row.status == "ok" else "failed" if row.status == "damaged" else "quiet"
        remark = printable(row.reason or row.step_source)
        step = "–" if row.step is None else str(row.step)
        rows.append((Words(step), Words(printable(row.path)), Words(row.status, tone),
                     Words(printable(row.format)), Words(remark, "quiet")))  # fmt: skip
    headers = (printable(report.step_unit), "checkpoint", "status", "format", "remark")
    return Table(headers, tuple(rows), (True, False, False, False, False))


def left_out(report: Report) -> Table | None:
    """What was not measured and why, one row a reason; None if nothing was left out."""
    found = tables(blocks(omissions(report)))
    reasons: dict[str, list[str]] = {}
    for table in found:
        for reason, what in table.rows:
            reasons.setdefault(reason.text, []).append(what.text)
    rows = tuple((Words(reason), Words(", ".join(what))) for reason, what in reasons.items())
    return Table(("reason", "what"), rows, (False, False)) if rows else None


def absent(report: Report, planned: bool) -> tuple[str, ...]:
    """A sentence for each part that a page can have and this report has not."""
    groups = {series.group for series in report.series.values() if series.values.size}
    said = []
    if report.log is None or not report.log.curves:
        said.append("There is no training log: `dyntools analyze RUN --logs PATH`.")
    said += [sentence for group, sentence in PARTS.items() if group not in groups]
    if "optimizer" in groups and not planned:
        said.append("There is no low-memory plan: `dyntools analyze RUN --preset low-memory`.")
    return tuple(said)


def provenance(report: Report) -> Table:
    """Versions, command, settings, examples: all that the report says of how it was made."""
    rows = [
        (Words(printable(key.replace("_", " "))), Words(printable(_told(value))))
        for key, value in report.attributes.items()
        if key not in ELSEWHERE and value not in ("", None, {}, [], ())
    ]
    probes = dict.fromkeys(probe_of(s) for s in report.series.values() if probe_of(s))
    rows += [(Words("probe"), Words(probe)) for probe in probes]
    return Table(("", ""), tuple(rows), (False, False))


def settings(report: Report) -> Table:
    """Version, settings and cost of each metric."""
    rows = []
    for series in report.series.values():
        told = ", ".join(f"{key} = {value}" for key, value in series.settings.items())
        rows.append((
            Words(printable(series.metric)),
            Words(str(series.version)),
            Words(printable(told), "quiet"),
            Words(number(float(series.seconds.sum()))),
            Words(str(int(series.matvecs.sum()))),
        ))  # fmt: skip
    headers = ("metric", "version", "settings", "seconds", "products")
    return Table(headers, tuple(rows), (False, True, False, True, True))


def _told(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {_told(part)}" for key, part in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) > 8 and all(isinstance(x, int) for x in value):
            return f"{len(value)}: {value[0]} to {value[-1]}"
        return ", ".join(_told(part) for part in value)
    return str(value)
