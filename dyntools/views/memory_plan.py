"""Memory plan: a decision on Adam's second moment: what it saves, and tensor by tensor how.

Tensors of one kind that got one form are one entry, so that an exception stands out: of such a
group the lowest SNR and margin, the largest error of the update and the bytes of all are shown.
Names are never shortened here, for they are what a person copies; where name, form and numbers do
not fit in one line, the name has a line of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.style import Style
from rich.text import Text

from dyntools.adam_memory import Decision, by_kind
from dyntools.adam_memory.decision import ASSUMED, Total
from dyntools.forms import FULL
from dyntools.views.cells import PICKED, QUIET
from dyntools.views.columns import GAP, Column, Grid, grid, no_room
from dyntools.views.fitted import Fitted
from dyntools.views.memory_entries import FEW_EXCEPTIONS, Entry, each, grouped
from dyntools.views.memory_words import amount, percent
from dyntools.views.names import printable
from dyntools.views.numbers import MISSING, count, number

HEADERS = ("SNR", "corrected", "margin", "update\nerror", "bytes of v")
NOTES = {
    "SNR": "SNR: mean over the measured steps",
    "corrected": "corrected: without the noise of a short average",
    "margin": "margin: {}",
    "update\nerror": "update error: |u' − u| / |u|, the worst step",
}
OF_SEVERAL = "of several tensors: the lowest SNR and margin, the largest error, the bytes of all"
EIGHT_BITS = "8-bit codes need another library, such as bitsandbytes: dyntools.optim has none"
MARGINS = {
    "update-error": "the limit over the error",
    "corrected": "corrected SNR over the cutoff",
}


def plan(decision: Decision, *, every: bool = False) -> RenderableType:
    """The sentence of the decision, its totals, and the table of tensors.

    every: a line for each tensor and not for each kind.
    """
    entries = (each if every else grouped)(decision)

    def build(width: int) -> RenderableType:
        return Group(
            Text(headline(decision), PICKED),
            Text(_basis(decision), QUIET),
            Text(),
            _totals(decision),
            Text(ASSUMED, QUIET),
            Text(),
            _table(entries, decision.rule, width),
            *([] if every else [Text(OF_SEVERAL, QUIET)]),
            *([Text(EIGHT_BITS, QUIET)] if decision.needs_library else []),
            *(Text(line, QUIET) for line in _reasons(decision)),
            Text(),
        )

    return Fitted(build)


def headline(decision: Decision) -> str:
    """How much of v can go, in how many tensors, and what that is in bytes."""
    total, all_of = decision.second_moment, len(decision.choices)
    bytes_of = f"{amount(total.before)} → {amount(total.after)}"
    told = f"in {len(decision.compressed)} of {count(all_of, 'tensor')}: {bytes_of}."
    if not decision.compressed:
        return "None of Adam's second moment can go by this rule: every tensor is kept in full."
    if decision.needs_library:  # codes save bytes and no entries
        return f"{percent(total.saved, 2)} of the bytes of Adam's second moment can go, {told}"
    return f"{percent(decision.saved, 2)} of Adam's second moment can go, {told}"


def averages(decision: Decision) -> RenderableType:
    """The mean SNR of each kind of layer over each set of axes that vectors and matrices have."""
    means = by_kind(decision.evidence)
    if not means:
        return Fitted(lambda width: Group())
    labels = sorted({label for row in means.values() for label in row}, key=_by_axes)
    kinds = list(means)
    counts = [sum(t.kind == kind for t in decision.evidence.tensors) for kind in kinds]
    columns = [Column("tensors", tuple(map(str, counts)))]
    columns += [
        Column(label, tuple(number(means[kind].get(label, math.nan)) for kind in kinds))
        for label in labels
    ]

    def build(width: int) -> RenderableType:
        found = grid("kind of layer", kinds, columns, width)
        notes = [Text(line, QUIET) for line in no_room(found)]
        return Group(Text("SNR by kind of layer, over these axes", PICKED), found, *notes, Text())

    return Fitted(build)


def _basis(decision: Decision) -> str:
    evidence, unit = decision.evidence, decision.evidence.step_unit
    rule = f"rule {decision.rule}"
    rule += f", cutoff {decision.cutoff:g}" if decision.rule != "update-error" else ""
    if decision.max_update_error is not None:
        rule += f", error of the update at most {decision.max_update_error:g}"
    steps = evidence.steps
    several = f"{count(len(steps), unit)}, {steps[0]} to {steps[-1]}"
    at = several if len(steps) > 1 else f"{unit} {steps[0]}"
    parts = [printable(evidence.source), rule, at]
    if math.isfinite(evidence.n_eff):
        parts.append(f"v averages {number(evidence.n_eff)} squared gradients")
    if math.isfinite(evidence.ceiling):
        parts.append(f"ceiling of the SNR {number(evidence.ceiling)}")
    return " · ".join(parts)


def _totals(decision: Decision) -> Grid:
    rows: tuple[tuple[str, Total], ...] = (
        ("second moment v", decision.second_moment),
        ("optimizer state, m and v", decision.optimizer_state),
        ("training memory", decision.training),
    )
    totals = [total for _, total in rows]
    columns = (
        Column("", tuple(name for name, _ in rows), right=False),
        Column("before", tuple(amount(total.before) for total in totals)),
        Column("after", tuple(amount(total.after) for total in totals)),
        Column("saved", tuple(percent(total.saved) for total in totals)),
    )
    return Grid(columns, (), "")


def _table(entries: Sequence[Entry], rule: str, width: int) -> RenderableType:
    """In one line each where all fit, else the name above its form and numbers."""
    names = Column("tensors", tuple(_styled(one.name, one) for one in entries), right=False)
    forms = Column("form of v", tuple(_styled(one.form, one) for one in entries), right=False)
    columns = [
        Column(header, tuple(_styled(one.numbers[i], one) for one in entries))
        for i, header in enumerate(HEADERS)
    ]
    columns = [c for c in columns if any(_plain(cell) != MISSING for cell in c.cells)]
    note = _note([column.header for column in columns], rule)
    if _width([names, forms, *columns]) <= width:
        return Group(Grid((names, forms, *columns), (), ""), note)
    below = [f"  {one.form}" for one in entries]
    table = [Column(forms.header, below, right=False), *columns]
    if _width(table) <= width:
        return Group(_two_lines(names, table, None), note)
    return Group(_two_lines(names, table[:-1], columns[-1]), note)


def _note(headers: Sequence[str], rule: str) -> Text:
    told = [NOTES[header] for header in headers if header in NOTES]
    text = "; ".join([*told, "(…): the best that was not enough"])
    return Text(text.format(MARGINS.get(rule, "SNR over the cutoff")), QUIET)


def _two_lines(names: Column, columns: Sequence[Column], beside: Column | None) -> RenderableType:
    """The name above its row, with what found no room in the row, the bytes, at its right."""
    widths = [column.width for column in columns]
    total = _width(columns)
    lines = [_header(columns, widths), Text("─" * total)]
    for i, name in enumerate(names.cells):
        style = name.style if isinstance(name, Text) else ""
        above = _plain(name)
        if beside is not None:
            text = _plain(beside.cells[i])
            above += " " * max(total - len(above) - len(text), len(GAP)) + text
        lines.append(Text(above, style, overflow="fold"))
        lines.append(_row([_plain(column.cells[i]) for column in columns], widths, style))
    note = [] if beside is None else [Text("beside a name: the bytes of its v", QUIET)]
    return Group(*lines, *note)


def _width(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + len(GAP) * (len(columns) - 1)


def _header(columns: Sequence[Column], widths: Sequence[int]) -> Text:
    """Two lines, standing on the rule."""
    parts = [("\n" + c.header).split("\n")[-2:] for c in columns]
    above, below = ([part[i] for part in parts] for i in (0, 1))
    rows = [_row(texts, widths, PICKED) for texts in (above, below) if any(texts)]
    return Text("\n").join(rows)


def _row(cells: Sequence[str], widths: Sequence[int], style: str | Style) -> Text:
    first, *others = zip(cells, widths, strict=True)
    text = first[0].ljust(first[1]) + "".join(GAP + cell.rjust(width) for cell, width in others)
    return Text(text.rstrip(), style, no_wrap=True, overflow="ignore")


def _reasons(decision: Decision) -> list[str]:
    """Why tensors are kept in full, those of one reason together, numbers apart."""
    reasons: dict[str, list[str]] = {}
    for choice in decision.choices:
        if choice.form == FULL:
            reasons.setdefault(choice.why.partition(";")[0], []).append(choice.tensor.name)
    lines = []
    for reason, names in reasons.items():
        named = ", ".join(map(printable, names[:FEW_EXCEPTIONS]))
        more = f" and {len(names) - FEW_EXCEPTIONS} more" if len(names) > FEW_EXCEPTIONS else ""
        lines.append(f"kept in full, {reason}: {named}{more}")
    return lines


def _styled(text: str, entry: Entry) -> Text:
    return Text(text, QUIET if entry.quiet else "")


def _plain(cell: str | Text) -> str:
    return cell if isinstance(cell, str) else cell.plain


def _by_axes(label: str) -> tuple[int, str]:
    return len(label.split(",")), label
