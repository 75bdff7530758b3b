"""Listings: tables of what exists: checkpoints found, metrics offered, commands to try next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from dyntools.report import Report
from dyntools.views.fitted import Fitted

MARKS = {"ok": "·", "set aside": "–", "damaged": "✗"}


def checkpoints(report: Report) -> RenderableType:
    """Every checkpoint found: its step, where the number came from, and what became of it."""
    if not report.checkpoints:
        return Text("no checkpoints")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(report.step_unit, justify="right")
    table.add_column("", width=1)
    table.add_column("checkpoint", overflow="fold")
    table.add_column("format")
    table.add_column("number from", overflow="fold")
    for row in report.checkpoints:
        step = "?" if row.step is None else str(row.step)
        remark = row.step_source if row.status == "ok" else f"{row.status}: {row.reason}"
        table.add_row(step, MARKS[row.status], escape(row.path), row.format, escape(remark))
    return _fitted(table)


def measurable(
    names: Sequence[str], missing: Mapping[str, str], facts: Mapping[str, str]
) -> RenderableType:
    """What `analyze` would measure, and what it would not and why."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for fact, text in facts.items():
        table.add_row(fact, escape(text))
    table.add_row("can be measured", ", ".join(names))
    for name, reason in missing.items():
        table.add_row("missing", escape(f"{name}: {reason}"))
    return _fitted(table)


def tensors(facts: Mapping[str, Mapping[str, Any]]) -> RenderableType:
    """Every tensor with its shape and the kind of layer it belongs to."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("tensor", overflow="fold")
    table.add_column("shape", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    for name, fact in facts.items():
        table.add_row(escape(name), " × ".join(map(str, fact["shape"])), fact["kind"])
    return _fitted(table)


def metric_list(facts: Sequence[Mapping[str, Any]]) -> RenderableType:
    """The metrics, one line each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("metric", no_wrap=True)
    table.add_column("needs")
    table.add_column("what it is", overflow="fold")
    for fact in facts:
        table.add_row(fact["name"], ", ".join(fact["needs"]), escape(fact["what"]))
    return _fitted(Group(table, Text("\nOne in full: dyntools metrics NAME", style="dim")))


def metric_card(fact: Mapping[str, Any]) -> RenderableType:
    """One metric in full, with its settings and their defaults."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    shape = " × ".join(("step", *fact["dims"]))
    rows = {
        "metric": f"{fact['name']} (version {fact['version']}, {fact['group']})",
        "what": fact["what"],
        "unit": fact["unit"],
        "values": shape,
        "needs": ", ".join(fact["needs"]),
        "cost": fact["cost"],
        "paper": fact["paper"],
    }
    rows |= {f"setting {key}": f"default {value!r}" for key, value in fact["settings"].items()}
    for label, text in rows.items():
        table.add_row(label, escape(text))
    return _fitted(table)


def next_commands(path: Path, report: Report) -> RenderableType:
    """What to type next."""
    shown = shlex.quote(str(path))
    lines = [f"dyntools plot {shown} -o plots", f"dyntools show {shown} --json"]
    if report.series:
        example = (
            "layer_rotation" if "layer_rotation" in report.series else next(iter(report.series))
        )
        lines.insert(0, f"dyntools show {shown} --metric {example}")
    text = f"report: {path}\nnext:   " + "\n        ".join(lines)
    return _fitted(Text(text, style="dim", no_wrap=True))


def _fitted(built: RenderableType) -> Fitted:
    return Fitted(lambda width: built)
