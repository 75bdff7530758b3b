"""Sections: a report as what a page says of it, from the findings down to its provenance.

Plain data: a section has a title, sentences, figures, tables and cards of metrics. A part that the
report does not hold is left out, and a sentence near the end says what was and how to get it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dyntools.findings import Finding
from dyntools.page import training
from dyntools.page.blocks import WIDE, Block, Table, blocks, notes, tables
from dyntools.page.evidence import evidence
from dyntools.page.figures import Figure, figures, sharpness
from dyntools.page.maps import Map
from dyntools.page.memory import behind, plan
from dyntools.page.provenance import absent, checkpoints, left_out, provenance, settings
from dyntools.page.summary import Fact, facts, verdict
from dyntools.report import Report, Series
from dyntools.views.dims import whole
from dyntools.views.layer_table import PICKS, layer_table
from dyntools.views.log_table import LOGS, log_table
from dyntools.views.losses import drawable
from dyntools.views.metric_table import metric_table
from dyntools.views.names import printable
from dyntools.views.whole_lines import whole_lines

if TYPE_CHECKING:
    from dyntools.adam_memory import Decision

# Rows of the table of a metric; the last line of the table says where the rest is. Chosen: a model
# of 300 tensors is whole, and the page of one of ten thousand stays readable.
MOST_ENTRIES, MOST_POINTS = 300, 40
TITLES = {
    "curvature": "Curvature",
    "weights": "Weights",
    "optimizer": "Optimizer state",
    "gradients": "Gradients",
    "activations": "Activations",
    LOGS: "Metrics of the log",
}


@dataclass(frozen=True)
class Card:
    """One metric: what it is, its figures, its table."""

    metric: str
    what: str
    facts: str
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...]

    name = "card"


@dataclass(frozen=True)
class Fold:
    """Blocks that are shown when their title is opened."""

    title: str
    blocks: tuple[Block, ...]

    name = "fold"


@dataclass(frozen=True)
class Section:
    """key: part of its address. figures stand in a row, blocks below one another."""

    key: str
    title: str
    intro: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    blocks: tuple[Block, ...] = ()
    folds: tuple[Fold, ...] = ()
    cards: tuple[Card, ...] = ()


@dataclass(frozen=True)
class Seen:
    """A finding beside the figures of what its rule has read."""

    finding: Finding
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Article:
    """All that a page says of one report."""

    run: str
    file: str  # "" where the report came from none
    line: str
    verdict: str
    facts: tuple[Fact, ...]
    seen: tuple[Seen, ...]
    sections: tuple[Section, ...]
    absent: tuple[str, ...]

    def fact(self, label: str) -> Fact | None:
        """The fact of this label, if there is one."""
        return next((fact for fact in self.facts if fact.label == label), None)


def article(
    report: Report,
    found: tuple[Finding, ...],
    decision: Decision | None,
    file: str = "",
    *,
    drawn: bool = True,
) -> Article:
    """The findings and the decision on memory are given, so that they are made once.

    drawn: with figures and the cards of metrics, which Markdown has not.
    """
    return Article(
        run=printable(str(report.attributes.get("run", "") or "unnamed run")),
        file=printable(file),
        line=_line(report, file),
        verdict=verdict(found),
        facts=facts(report, decision),
        seen=tuple(Seen(one, evidence(report, one) if drawn else ()) for one in found),
        sections=tuple(_sections(report, decision, drawn)),
        absent=absent(report, decision is not None),
    )


def _line(report: Report, file: str) -> str:
    attributes = report.attributes
    layers = {name for s in report.series.values() for name in s.coords.get("layer", ())}
    version = attributes.get("dyntools_version")
    parts = (
        file,
        f"{len(report.series)} metrics on {len(layers)} tensors" if layers else "",
        str(attributes.get("path", "") or ""),
        str(attributes.get("finished") or attributes.get("started") or "")[:10],
        f"dyntools {version}" if version else "",
    )
    return printable(" · ".join(part for part in parts if part))


def _sections(report: Report, decision: Decision | None, drawn: bool) -> Iterator[Section]:
    log = report.log
    if log is not None and drawable(log):
        found = tables(blocks(log_table(report, WIDE)))
        shown = (training.losses(log), *training.others(log)) if drawn else ()
        yield Section("training", "Training", figures=shown, blocks=found)
    groups: dict[str, list[Series]] = {}
    for series in report.series.values():
        groups.setdefault(series.group, []).append(series)
    order = [*TITLES, *(group for group in groups if group not in TITLES)]
    for group in order:
        if group == "optimizer" and decision is not None:
            yield _memory(report, decision)
        measured = [one for one in groups.get(group, ()) if one.values.size and len(one.steps)]
        if measured:
            yield _group(report, group, measured, drawn)
    yield from _endings(report)


def _memory(report: Report, decision: Decision) -> Section:
    sentence, *rest = plan(decision)
    folds = tuple(Fold(title, found) for title, found in behind(report, decision))
    return Section("memory", "Low-memory plan", (sentence.text,), (), tuple(rest), folds)  # type: ignore[union-attr]


def _group(report: Report, group: str, measured: list[Series], drawn: bool) -> Section:
    shown: tuple[Figure, ...] = ()
    found: list[Block] = []
    if group == "curvature":
        edge = sharpness(report)
        shown = () if edge is None else (edge,)
        of_model = [one for s in measured if (one := whole(s)) is not None]
        found += blocks(whole_lines(of_model, WIDE)) if of_model else []
    picks = {pick.metric for pick in PICKS}
    picked = {s.metric: s for s in measured if s.metric in picks and s.dims == ("layer",)}
    if group == "weights" and picked:
        found += blocks(layer_table(picked, WIDE))
    title = TITLES.get(group) or printable(group).capitalize() or "Other metrics"
    cards = tuple(card(series) for series in measured) if drawn else ()
    return Section(f"g-{list(report.series).index(measured[0].metric)}", title,
                   figures=shown, blocks=tuple(found), cards=cards)  # fmt: skip


def card(series: Series) -> Card:
    """A metric as `dyntools show --metric` prints it, with its figures."""
    points = not series.dims
    found = blocks(metric_table(series, most=MOST_POINTS if points else MOST_ENTRIES))
    facts, *rest = notes(found)
    shown = figures(series)
    return Card(
        metric=printable(series.metric),
        what=printable(series.what),
        facts=facts,
        figures=shown,
        tables=_without_courses(tables(found), shown),
        notes=tuple(rest),
    )


def _without_courses(found: tuple[Table, ...], shown: tuple[Figure, ...]) -> tuple[Table, ...]:
    """Tables without the small course in each row, where a map shows all of them."""
    return tuple(one.without("along") for one in found) if _mapped(shown) else found


def _mapped(shown: tuple[Figure, ...]) -> bool:
    return any(isinstance(one, Map) for one in shown)


def _endings(report: Report) -> Iterator[Section]:
    if report.checkpoints:
        yield Section("checkpoints", "Checkpoints", blocks=(checkpoints(report),))
    omitted = left_out(report)
    if omitted is not None:
        yield Section("omitted", "Not measured", blocks=(omitted,))
    said = (*report.notes, *(report.log.notes if report.log is not None else ()))
    if said:
        yield Section("notes", "Notes", tuple(printable(note) for note in said))
    folds = (
        (Fold("Settings and cost of each metric", (settings(report),)),) if report.series else ()
    )
    yield Section("provenance", "Provenance", blocks=(provenance(report),), folds=folds)
