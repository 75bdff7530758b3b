"""Live frame: one look at a recording: its pace, its curves and gauges, findings, and layers.

A frame fits the terminal: the loss curve is left out where it is low, findings are cut to the lines
they have, and the layers get the rest. Without a height nothing is cut but the layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from dyntools.findings import Finding
from dyntools.log import Role
from dyntools.report import Report
from dyntools.views.advice import MARKS, STYLES
from dyntools.views.cells import QUIET
from dyntools.views.fitted import Fitted
from dyntools.views.live_gauges import gauge_lines, gauges
from dyntools.views.live_layers import Order, layers
from dyntools.views.live_pace import pace, percent, span
from dyntools.views.live_plot import Line, plot
from dyntools.views.names import printable
from dyntools.views.numbers import number

LOW, HIGH = 30, 46  # rows of the terminal from which there is a curve, and from which a tall one
CURVE, TALL = 5, 8  # rows of it
FEWEST_LAYERS, MOST_LAYERS = 4, 12
MOST_FINDINGS = 4
RESERVED = 13  # rows kept below the gauges: two findings, four layers, and what heads them
TABLE_HEAD = 5  # a blank line, the title, two of the header, the rule
LOSSES = ((Role.train_loss, "train"), (Role.validation_loss, "val"))
QUIET_FROM = 30.0  # seconds without a line after which it is said; chosen


@dataclass(frozen=True)
class State:
    """What the follower of a journal knows beside its content. quiet: seconds since it grew."""

    there: bool = True
    finished: bool = False
    quiet: float = 0.0
    order: Order = field(default_factory=Order)


def frame(
    report: Report, found: Sequence[Finding], state: State, height: int | None = None
) -> RenderableType:
    """The frame; at most `height` rows, as many as it takes where None is given."""
    return Fitted(lambda width: Group(*_rows(report, found, state, width, height)))


def waiting(path: str) -> RenderableType:
    """What is shown before there is a journal."""
    return Fitted(lambda width: Text(f"waiting for {printable(path)}", QUIET, overflow="fold"))


def _rows(
    report: Report, found: Sequence[Finding], state: State, width: int, height: int | None
) -> list[RenderableType]:
    tall = height is None or height >= HIGH
    curve = _curve(report, width, TALL if tall else CURVE) if tall or (height or 0) >= LOW else []
    shown = gauges(report)
    rows: list[RenderableType] = [_head(report, state, width)]
    used = 1
    if curve:
        rows += [Text(), *curve]
        used += 1 + len(curve)
    if shown:
        room = len(shown) if height is None else max(height - used - RESERVED, 4)
        rows += [Text(), gauge_lines(shown[:room], width)]
        used += 1 + len(shown[:room])
    left = None if height is None else height - used
    spoken = _findings(report, found, width, left)
    spoken = spoken if left is None else spoken[: max(left - 1, 0)]
    if len(spoken) > 1 or (spoken and not found):
        rows += [Text(), *spoken]
        used += 1 + len(spoken)
    most = MOST_LAYERS if height is None else height - used - TABLE_HEAD
    table = layers(report, found, state.order, width, most) if most > 0 else None
    return rows if table is None else [*rows, Text(), table]


def _head(report: Report, state: State, width: int) -> Text:
    now = pace(report)
    run = printable(str(report.attributes.get("run", "recording")))
    facts = []
    if now.step is not None:
        facts.append(f"{report.step_unit} {now.step}")
    if np.isfinite(now.per_second):
        facts.append(f"{number(now.per_second)} steps/s")
    if np.isfinite(now.elapsed):
        facts.append(span(now.elapsed))
    if np.isfinite(now.share):
        limit = f" of {percent(now.budget)}" if np.isfinite(now.budget) else ""
        facts.append(f"measuring {percent(now.share)}{limit}")
    word, style = _state(state)
    line = Text(no_wrap=True, overflow="ellipsis").append(run, "bold")
    for fact in facts:
        line.append(" · ", QUIET)
        line.append(fact)
    line.append(" · ", QUIET)
    line.append(word, style)
    line.truncate(width, overflow="ellipsis")
    return line


def _state(state: State) -> tuple[str, str]:
    if not state.there:
        return "the file is gone", "bold dark_orange"
    if state.finished:
        return "finished", "bold"
    if state.quiet >= QUIET_FROM:
        return f"quiet for {span(state.quiet)}", "bold dark_orange"
    return "recording", "green"


def _curve(report: Report, width: int, height: int) -> list[Text]:
    log = report.log
    curves = [(name, log.curve(role)) for role, name in LOSSES] if log is not None else []
    lines = [Line(name, curve) for name, curve in curves if curve is not None]
    if not lines or max(len(line.curve.steps) for line in lines) < 2:
        return []
    return plot(lines, width, height)


def _findings(report: Report, found: Sequence[Finding], width: int, left: int | None) -> list[Text]:
    """The title and one finding a line, in two lines where there is room; then the notes."""
    room = None if left is None else left - TABLE_HEAD - FEWEST_LAYERS - 2
    most = MOST_FINDINGS if room is None else max(min(MOST_FINDINGS, room), 1)
    lines = [Text("Findings", "bold")]
    if not found:
        lines[0].append("  no rule fired so far", QUIET)
    for one in found[:most]:
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"{MARKS[one.severity]} {one.severity.upper():<5} ", STYLES[one.severity])
        line.append(printable(one.sentence))
        lines += _wrapped(line, width, 2 if room is None or 2 * most <= room else 1)
    if len(found) > most:
        lines[0].append(f"  {most} of {len(found)}", QUIET)
    _cut(lines[0], width)
    lines += [_cut(Text(f"note: {printable(note)}", QUIET), width) for note in report.notes[-2:]]
    return lines


INDENT = 8  # below `▲ ACT   `


def _wrapped(line: Text, width: int, most: int) -> list[Text]:
    """In at most `most` lines, those behind the first indented; the last is cut."""
    if len(line) <= width or most == 1:
        return [_cut(line, width)]
    at = line.plain.rfind(" ", 0, width + 1)
    at = at if at > INDENT else width
    rest = Text(" " * INDENT) + line[at:].__class__(line[at:].plain.lstrip())
    return [line[:at], _cut(rest, width)]


def _cut(line: Text, width: int) -> Text:
    line.truncate(width, overflow="ellipsis")
    return line
