"""Advice: findings as text: what was seen first, then what to do, then why to believe it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dyntools.findings.finding import Finding, Severity
from dyntools.views.cells import QUIET
from dyntools.views.fitted import Fitted
from dyntools.views.names import printable

# The word carries the meaning, mark and colour help the eye; orange and blue are told apart in
# every common colour blindness (Okabe & Ito 2008, Color Universal Design).
MARKS = {Severity.act: "▲", Severity.watch: "●", Severity.note: "○"}
STYLES = {Severity.act: "bold dark_orange", Severity.watch: "bold blue", Severity.note: "bold"}
MOST_EVIDENCE = 4


def findings(found: Sequence[Finding]) -> RenderableType:
    """The findings in the order given, which `findings.find` makes the most severe first."""
    if not found:
        text = "No rule fired. That is not a proof that the run is well."
        return Fitted(lambda width: Group(Text("Findings", "bold"), Text(text, QUIET), Text()))
    parts: list[RenderableType] = [Text("Findings", "bold")]
    for finding in found:
        parts += [_finding(finding), Text()]
    return Fitted(lambda width: Group(*parts))


def _finding(finding: Finding) -> RenderableType:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    mark = f"{MARKS[finding.severity]} {finding.severity.upper()}"
    table.add_row(Text(mark, STYLES[finding.severity]), Text(printable(finding.sentence), "bold"))
    for label, text, style in _lines(finding):
        if text:
            table.add_row(Text(f"  {label}", QUIET), Text(printable(text), style))
    return table


def _lines(finding: Finding) -> Iterable[tuple[str, str, str]]:
    more = len(finding.evidence) - MOST_EVIDENCE
    seen = "; ".join(finding.evidence[:MOST_EVIDENCE]) + (f"; and {more} more" if more > 0 else "")
    yield "do", finding.remedy, ""
    yield "why", finding.meaning, ""
    yield "seen", seen, ""
    yield "but", finding.caveat, QUIET
    yield "rule", f"{finding.rule}: {finding.paper}", QUIET
