"""Overview: what the report is about: the run, its checkpoints, its log and which curve is what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dyntools.log import Log
from dyntools.report import CheckpointRow, Report
from dyntools.views.cells import FAILED, QUIET
from dyntools.views.fitted import Fitted
from dyntools.views.names import elide, printable
from dyntools.views.numbers import count

MOST_ROWS = 5  # checkpoints named with their reasons
ROLE_WIDTH = 32


def overview(report: Report) -> RenderableType:
    """Run, steps, checkpoints with those that are damaged or set aside, log roles, notes."""
    return Fitted(lambda width: _built(report, width))


def _built(report: Report, width: int) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in _facts(report, width):
        table.add_row(label, text)
    return Group(table, Text())


def _facts(report: Report, width: int) -> Iterator[tuple[str, Text]]:
    run = printable(str(report.attributes.get("run", "unnamed")))
    path = printable(str(report.attributes.get("path", "")))
    yield "run", Text.assemble(run, (f"  {path}" if path not in ("", run) else "", QUIET))
    if report.checkpoints:
        yield "checkpoints", Text(_checkpoints(report))
        for label, row in _not_used(report):
            text = f"{printable(row.path)}: {printable(row.reason)}"
            yield label, Text(text, FAILED if row.status == "damaged" else "")
    else:
        yield "checkpoints", Text("none")
    yield "log", Text(_log(report.log) if report.log is not None else "none")
    if report.log is not None and report.log.roles:
        yield "", Text(_roles(report.log), QUIET)
    if report.series:
        yield "measured", Text(_measured(report))
    for note in (*report.notes, *(report.log.notes if report.log is not None else ())):
        yield "note", Text(printable(note))


def _checkpoints(report: Report) -> str:
    used = [row for row in report.checkpoints if row.status == "ok"]
    steps = sorted(row.step for row in used if row.step is not None)
    text = f"{len(used)} used"
    if len(steps) > 1:
        text += f", {report.step_unit} {steps[0]} to {steps[-1]}"
    elif steps:
        text += f", {report.step_unit} {steps[0]}"
    counts = Counter(row.status for row in report.checkpoints if row.status != "ok")
    text += "".join(f", {n} {status}" for status, n in counts.items())
    formats = sorted({printable(row.format) for row in used})
    return text + (f" ({', '.join(formats)})" if formats else "")


def _not_used(report: Report) -> Iterator[tuple[str, CheckpointRow]]:
    rows = [row for row in report.checkpoints if row.status != "ok"]
    rows.sort(key=lambda row: row.status)  # damaged before set aside
    for row in rows[:MOST_ROWS]:
        yield f"  {row.status}", row
    if len(rows) > MOST_ROWS:
        rest = f"{len(rows) - MOST_ROWS} more"
        yield "  …", CheckpointRow(rest, "", None, "", "set aside", "dyntools inspect RUN")


def _log(log: Log) -> str:
    formats = ", ".join(sorted(printable(name) for name in log.formats))
    end = "" if log.last_step is None else f", up to {log.unit} {log.last_step}"
    return f"{count(len(log.curves), 'curve')}{end} ({formats})"


def _roles(log: Log) -> str:
    pairs = (
        f"{role.replace('_', ' ')} = {elide(printable(name), ROLE_WIDTH)}"
        for role, name in log.roles.items()
    )
    return ", ".join(pairs)


def _measured(report: Report) -> str:
    layers = {name for s in report.series.values() for name in s.coords.get("layer", ())}
    text = count(len(report.series), "metric")
    return text + (f" on {count(len(layers), 'tensor')}" if layers else "")
