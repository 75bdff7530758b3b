"""The tables of ci-gate.md, as Markdown."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from ci_gate_figure import short
from ci_gate_runs import BASE, CURVATURE, RANKS
from ci_gate_verdicts import CURVES, Judged, Runs, Table, last

from dyntools.checks.limit import Limit
from dyntools.checks.verdict import Check, Verdict


def recipe_rows(runs: Runs, found: Sequence[Judged]) -> str:
    base = [f"{np.mean([last(r, role) for r in runs[BASE]]):.3f}" for role in CURVES.values()]
    lines = [f"| {BASE.name} | {' | '.join(base)} | – | – | – |"]
    for one in found:
        told = " | ".join(f"{mean:.3f} (p {_p(p)})" for mean, p, _ in one.curves.values())
        counts = [len(one.failed(metrics)) for metrics in (CURVATURE, RANKS)]
        totals = [sum(c.metric in m for c in one.outcome.checks) for m in (CURVATURE, RANKS)]
        fails = " | ".join(f"{n} of {of}" for n, of in zip(counts, totals, strict=True))
        lines.append(f"| {one.recipe.name} | {told} | {fails} | **{one.outcome.verdict}** |")
    return "\n".join(lines)


def _p(p: float) -> str:
    return f"{p:.1g}" if p < 0.1 else f"{p:.2f}"


def change_rows(found: Sequence[Judged], spread: Mapping[str, float], ours: Sequence[Limit]) -> str:
    lines = []
    for key, limit in zip(spread, ours, strict=True):
        checks = [next(c for c in one.outcome.checks if c.quantity == key) for one in found]
        cells = " | ".join(_cell(check) for check in checks)
        tolerance = f"{100 * (limit.relative or 0.0):g} %"
        shown = checks[0].detectable or math.nan
        least = f"{100 * shown / abs(checks[0].baseline or math.nan):.0f} %"
        seen = f"{100 * spread[key]:.1f} % | {tolerance} | {least}"
        lines.append(f"| {short(key)} | {seen} | {cells} |")
    return "\n".join(lines)


def _cell(check: Check) -> str:
    """Bold for a fail, a question mark for what is inconclusive."""
    if check.relative_change is None:
        return str(check.verdict)
    number = f"{100 * check.relative_change:+.1f} %".replace("-", "−")
    marks = {Verdict.fail: f"**{number}**", Verdict.inconclusive: f"{number} ?"}
    return marks.get(check.verdict, number)


def default_rows(found: Sequence[Judged]) -> str:
    lines = []
    for limit in dict.fromkeys(check.limit for check in found[0].default.checks):
        cells = []
        for one in found:
            checks = [check for check in one.default.checks if check.limit == limit]
            told = Counter(check.verdict for check in checks)
            cells.append(f"{told[Verdict.fail] or '–'} / {told[Verdict.passed]} / {len(checks)}")
        lines.append(f"| `{limit}` | {' | '.join(cells)} |")
    whole = " | ".join(f"**{one.default.verdict}**" for one in found)
    return "\n".join([*lines, f"| all together | {whole} |"])


def sentences(found: Sequence[Judged]) -> str:
    """Of each recipe the worst check of curvature and of rank, as the tool says it."""
    lines = []
    for one in found:
        lines.append(f"**{one.recipe.name}** ({one.recipe.change}): {one.outcome.verdict}.\n")
        worst = [next(c for c in one.outcome.checks if c.metric in m) for m in (CURVATURE, RANKS)]
        lines += [f"- {c.verdict}, `{c.quantity}`: {c.sentence}" for c in worst]
        lines.append("")
    return "\n".join(lines)


def share_cell(counts: Counter[Verdict]) -> str:
    total = counts.total()
    kinds = (Verdict.fail, Verdict.inconclusive, Verdict.passed)
    return " / ".join(f"{100 * counts[kind] / total:.0f}" for kind in kinds)


def grid(table: Table, corner: str, heads: Sequence[str]) -> str:
    lines = [f"| {corner} | {' | '.join(heads)} |", "| --- |" + " ---: |" * len(heads)]
    lines += [f"| {name} | {' | '.join(map(share_cell, row))} |" for name, row in table]
    return "\n".join(lines)
