"""Memory tables: what stands behind a decision on Adam's memory, and beside it.

How it changes with the cutoff, whether fewer steps would have said the same, what limits trust in
it, what other optimizers would take, and what to type next.
"""

from __future__ import annotations

import math
import shlex
import textwrap
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from dyntools.adam_memory import Decision
from dyntools.adam_memory.hindsight import Retrospect
from dyntools.adam_memory.optimizers import Priced
from dyntools.views.cells import PICKED, QUIET
from dyntools.views.columns import Column, Grid
from dyntools.views.fitted import Fitted
from dyntools.views.memory_words import amount, percent
from dyntools.views.names import printable
from dyntools.views.numbers import count, number

CHOSEN = "←"


def cutoffs(found: Sequence[Decision], chosen: Decision) -> RenderableType:
    """One line a cutoff of the SNR, or a limit on the error: what would be saved."""
    of_error = chosen.rule == "update-error"
    levels = [d.max_update_error if of_error else d.cutoff for d in found]
    own = chosen.max_update_error if of_error else chosen.cutoff
    title = "With another limit on the error of the update" if of_error else "With another cutoff"
    table = _table(
        Column("limit" if of_error else "cutoff", tuple(f"{level:g}" for level in levels)),
        Column("of v saved", tuple(percent(_saved(d, chosen), 2) for d in found)),
        Column("tensors\nin less", tuple(str(len(d.compressed)) for d in found)),
        Column("form\nchanges", tuple(str(_different(d, chosen)) for d in found)),
        Column("bytes of v", tuple(amount(d.second_moment.after) for d in found)),
        Column("training\nmemory", tuple(amount(d.training.after) for d in found)),
        Column("", tuple(CHOSEN if level == own else "" for level in levels), right=False),
    )
    return _titled(title, table)


def along(found: Sequence[Retrospect], decision: Decision) -> RenderableType:
    """What some of the steps would have led to; nothing where one step was measured."""
    if not found:
        return Fitted(lambda width: Group())
    unit = decision.evidence.step_unit
    known = [not math.isnan(one.saved) for one in found]
    table = _table(
        Column("decided from", tuple(one.label for one in found), right=False),
        Column(f"{unit}s", tuple(_span(one.steps) for one in found), right=False),
        Column(
            "of v saved",
            tuple(percent(one.saved, 2) if k else "–" for one, k in zip(found, known, strict=True)),
        ),
        Column(
            "same form",
            tuple(
                f"{one.agree} of {one.tensors}" if k else "–"
                for one, k in zip(found, known, strict=True)
            ),
        ),
    )
    notes = dict.fromkeys(f"{one.label}: {one.reason}" for one in found if one.reason)
    title = f"Along training, against all {count(len(decision.evidence.steps), f'measured {unit}')}"
    return _titled(title, table, *notes)


def trust(sentences: Sequence[str]) -> RenderableType:
    """What limits trust in the decision."""
    if not sentences:
        text = "Nothing that is known to mislead was seen. That is no proof: verify the plan."
        return _titled("What limits trust", Text(text, QUIET))
    return _titled("What limits trust", bullets(sentences))


def comparison(found: Sequence[Priced]) -> RenderableType:
    """Other optimizers for this model; only what was measured has an error."""
    table = _table(
        Column("optimizer", tuple(one.name for one in found), right=False),
        Column("state", tuple(amount(one.state) for one in found)),
        Column("saved", tuple(percent(one.saved) for one in found)),
        Column("training", tuple(amount(one.training) for one in found)),
        Column("update\nerror", tuple(number(one.update_error) for one in found)),
        Column("basis", tuple(one.basis for one in found), right=False),
    )
    notes = Table.grid(padding=(0, 1, 0, 0))
    notes.add_column(no_wrap=True, style=QUIET)
    notes.add_column(overflow="fold", style=QUIET)
    for one in found:
        if one.basis == "option":
            notes.add_row(Text(f"  {one.name}"), Text(f"{one.what} ({one.source})"))
    first = Text("measured: on this run's second moments; option: priced by shapes alone", QUIET)
    return _titled("Optimizers, priced for this model", table, first, notes)


def next_commands(
    report: Path | None, given: str, run: str, verified: bool, exported: bool
) -> RenderableType:
    """What to type next: tensors one by one, the plan as a file, its verification.

    given: the path of this command; run: that of the run, "" where it is not known.
    """
    source = shlex.quote(str(report) if report is not None else given)
    lines = [f"dyntools adam-memory {source} --all"]
    if not exported:
        lines.append(f"dyntools adam-memory {source} --export plan.toml")
    if report is not None:
        lines.append(f"dyntools show {source} --metric second_moment_snr")
    if not verified:
        again = shlex.quote(run) if run else "RUN"
        lines.append(f"dyntools adam-memory {again} --problem FILE.py:NAME --verify 200")
    where = f"report: {report}\n" if report is not None else ""

    def build(width: int) -> RenderableType:
        told = "\n        ".join(_command(line, width - 8) for line in lines)
        return Text(f"{where}next:   {told}", QUIET, overflow="fold")

    return Fitted(build)


def _command(line: str, room: int) -> str:
    """In several lines that a shell reads as one; words are never cut."""
    parts = textwrap.wrap(line, room - 2, break_long_words=False, break_on_hyphens=False)
    return " \\\n          ".join(parts) if len(line) > room else line


def _saved(decision: Decision, chosen: Decision) -> float:
    """Of entries, or of bytes where the chosen one has codes of 8 bit, which keep every entry."""
    return decision.second_moment.saved if chosen.needs_library else decision.saved


def _different(one: Decision, other: Decision) -> int:
    forms = other.forms
    return sum(forms.get(name) != form for name, form in one.forms.items())


def _span(steps: Sequence[int]) -> str:
    if len(steps) == 1:
        return str(steps[0])
    return f"{len(steps)}: {steps[0]} to {steps[-1]}"


def bullets(sentences: Sequence[str], style: str | Style = "") -> Table:
    """Sentences below one another, each behind a dot."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for sentence in sentences:
        table.add_row(Text("●", style), Text(printable(sentence), style))
    return table


def _titled(title: str, *parts: RenderableType) -> RenderableType:
    body = [Text(part, QUIET) if isinstance(part, str) else part for part in parts]
    return Fitted(lambda width: Group(Text(title, PICKED), *body, Text()))


def _table(*columns: Column) -> Grid:
    """A table whose names are not shortened."""
    return Grid(columns, (), "")
