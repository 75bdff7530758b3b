"""Summary: the few facts of a run that stand above everything else."""

from __future__ import annotations

from dataclasses import dataclass

from dyntools.adam_memory import Decision
from dyntools.findings import Finding, Severity
from dyntools.log import Role
from dyntools.page.figures import STABILITY
from dyntools.report import Report
from dyntools.views.dims import whole
from dyntools.views.lines import level_of, lines_of
from dyntools.views.losses import curve_of, lowest
from dyntools.views.memory_words import amount, percent
from dyntools.views.names import printable
from dyntools.views.numbers import count, number

WORDS = {Severity.act: "to act on", Severity.watch: "to watch", Severity.note: "to know"}


@dataclass(frozen=True)
class Fact:
    """label, value, and a quieter line below."""

    label: str
    value: str
    more: str = ""


def verdict(found: tuple[Finding, ...]) -> str:
    """`1 finding to act on, 2 to know.`"""
    if not found:
        return "No rule fired. That is not a proof that the run is well."
    parts = [(s, sum(one.severity is s for one in found)) for s in Severity]
    told = [f"{n} {WORDS[s]}" for s, n in parts if n]
    if len(told) == 1:
        return f"{count(len(found), 'finding')} {WORDS[found[0].severity]}."
    return f"{count(len(found), 'finding')}: {', '.join(told)}."


def facts(report: Report, decision: Decision | None) -> tuple[Fact, ...]:
    """Only what the report holds."""
    found = [_checkpoints(report), *_losses(report), _sharpness(report), _memory(decision)]
    return tuple(fact for fact in found if fact is not None)


def _checkpoints(report: Report) -> Fact:
    used = [row for row in report.checkpoints if row.status == "ok"]
    steps = sorted(row.step for row in used if row.step is not None)
    lost = len(report.checkpoints) - len(used)
    span = f"{printable(report.step_unit)} {steps[0]} to {steps[-1]}" if steps else ""
    return Fact("checkpoints", str(len(used)), span + (f", {lost} not used" if lost else ""))


def _losses(report: Report) -> list[Fact]:
    facts = []
    for role, label in ((Role.train_loss, "training loss"),
                        (Role.validation_loss, "validation loss")):  # fmt: skip
        curve = curve_of(report.log, role) if report.log is not None else None
        if curve is None:
            continue
        best = lowest(curve)
        more = f"best {number(float(curve.values[best]))} at {curve.unit} {curve.steps[best]}"
        last = float(curve.values[-1])
        facts.append(Fact(label, "NaN" if last != last else number(last), printable(more)))
    return facts


def _sharpness(report: Report) -> Fact | None:
    for metric in STABILITY:
        series = report.series.get(metric)
        ranks = None if series is None or not series.values.size else whole(series)
        level = None if ranks is None else level_of(ranks)
        if ranks is None or level is None:
            continue
        lines = lines_of(ranks, ranks.values)
        assert lines is not None
        last, edge = float(lines[-1, 0]), float(level[-1])
        return Fact(metric.replace("_", " "), number(last), f"threshold {number(edge)}")
    return None


def _memory(decision: Decision | None) -> Fact | None:
    if decision is None:
        return None
    total = decision.second_moment
    bytes_of = f"{amount(total.before)} → {amount(total.after)}"
    saved = total.saved if decision.needs_library else decision.saved
    return Fact("second moment that can go", percent(saved), bytes_of)
