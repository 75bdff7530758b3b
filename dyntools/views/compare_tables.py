"""Compare tables: reports side by side, one metric in full, or a summary of all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rich.text import Text

from dyntools.checks.permutations import reports_needed
from dyntools.comparison.compared import Compared, Row
from dyntools.comparison.differing import Difference, Number, Outcome
from dyntools.comparison.overview import Overview, Seen
from dyntools.measurement import Status
from dyntools.views.cells import FAILED, PICKED, QUIET, UNCONVERGED
from dyntools.views.columns import Column
from dyntools.views.compare_sheet import Sheet
from dyntools.views.names import shorten
from dyntools.views.numbers import DIMENSIONLESS, MISSING, count, number, signed

MOST, FEWER = 20, 8  # rows of a metric, of the largest differences; chosen: to fit one screen
HEAD_WIDTH = 14  # letters of the name of a side above its column; chosen: four fit in 80 columns
LISTED = 4  # names in a sentence
MARK = "*"


def metric_sheet(compared: Compared, place: int, most: int | None = MOST) -> Sheet:
    """One metric at one place; layers the furthest apart first, ranks in their order."""
    rows = _ordered(compared.rows(place), counted=compared.counted)
    kept = rows if most is None else rows[:most]
    said = [compared.alignment.sentence, f"At {compared.alignment.at(place)}"]
    if compared.unit not in DIMENSIONLESS:
        said[-1] += f", in {compared.unit}"
    notes = _notes(compared, rows)
    if len(kept) < len(rows):
        notes.insert(0, f"… and {len(rows) - len(kept)} more: --all, or --format csv")
    return Sheet(
        f"{compared.metric}: {compared.what}",
        " ".join(said) + ".",
        "entry",
        [row.entry or compared.metric for row in kept],
        _columns(compared.sides, kept, grouped=compared.grouped),
        notes,
    )


def overview_sheets(found: Overview) -> list[Sheet]:
    """The headlines, the largest differences, the findings that not all have."""
    names = [side.name for side in found.sides]
    sheets = [_headlines(found, names)]
    if found.far:
        sheets.append(_far(found, names))
    sheets.append(_findings(found, names))
    return sheets


def _headlines(found: Overview, names: Sequence[str]) -> Sheet:
    rows = [_spread_out(line.compared, line.row, names) for line in found.lines]
    columns = _columns(names, rows, grouped=any(len(side.reports) > 1 for side in found.sides))
    columns.append(Column("of", [line.of for line in found.lines], right=False))
    at = [line.compared.alignment.at(line.compared.last) for line in found.lines]
    usual = max(dict.fromkeys(at), key=at.count) if at else ""
    sentences = dict.fromkeys(line.compared.alignment.sentence for line in found.lines)
    notes = [
        f"{line.compared.metric}: at {where}"
        for line, where in zip(found.lines, at, strict=True)
        if where != usual
    ]
    reasons = [(line.compared.metric, d.why) for line in found.lines for d in line.row.differences]
    notes += _reasons(reasons)
    notes += found.refused.values()  # sentences that name their metric
    if found.curves:
        notes.append(f"in full with --metric: {_listed(found.curves)}")
    having: dict[tuple[str, ...], list[str]] = {}
    for metric, who in found.unshared.items():
        having.setdefault(who, []).append(metric)
    notes += [f"only {_listed(who)}: {_listed(metrics)}" for who, metrics in having.items()]
    notes += _too_few([d for line in found.lines for d in line.row.differences], found.level)
    notes += _caveat(any(len(side.reports) > 1 for side in found.sides), found.lines)
    notes += _legend(names, [*rows, *(far.row for far in found.far)])
    said = " ".join(sentences) + (f" At {usual}." if usual else "")
    metrics = [line.compared.metric for line in found.lines]
    return Sheet(f"{', '.join(names)} side by side", said, "metric", metrics, columns, notes)


def _far(found: Overview, names: Sequence[str]) -> Sheet:
    kept = found.far[:FEWER]
    rows = [_spread_out(one.compared, one.row, names) for one in kept]
    grouped = any(len(side.reports) > 1 for side in found.sides)
    said = "By (largest - smallest) / mean size, of what errors or seeds do not explain."
    labels = [f"{one.compared.metric} {one.row.entry}".strip() for one in kept]
    return Sheet("Furthest apart", said, "entry", labels, _columns(names, rows, grouped=grouped))


def _findings(found: Overview, names: Sequence[str]) -> Sheet:
    title = "Findings that differ"
    if not found.seen:
        return Sheet(title, "The same rules speak of all of them, or none does.", "", [], [])
    columns = [
        Column(head, [_seen(one, i, found) for one in found.seen])
        for i, head in enumerate(_heads(names))
    ]
    notes = [f"{one.finding.rule}: {one.finding.sentence}" for one in found.seen]
    return Sheet(title, "", "finding", [one.finding.rule for one in found.seen], columns, notes)


def _seen(one: Seen, side: int, found: Overview) -> Text:
    seeds, seen = len(found.sides[side].reports), one.seen[side]
    if seeds == 1:
        return Text("yes") if seen else Text("no", QUIET)
    return Text(f"{seen} of {seeds}", "" if seen else QUIET)


def _spread_out(compared: Compared, row: Row, names: Sequence[str]) -> Row:
    """A row with a place for every side, also those without the metric."""
    nothing = Number(math.nan, status=Status.absent)
    numbers = dict(zip(compared.sides, row.numbers, strict=True))
    against = dict(zip(compared.sides[1:], row.differences, strict=True))
    none = Difference(math.nan, math.nan)
    return Row(
        row.entry,
        tuple(numbers.get(name, nothing) for name in names),
        tuple(against.get(name, none) for name in names[1:]),
    )


def _columns(names: Sequence[str], rows: Sequence[Row], *, grouped: bool) -> list[Column]:
    """The numbers of each side, the verdict, and what follows from these: the first to go."""
    heads = _heads(names)
    several = len(names) > 2
    columns = [
        Column(head, [_cell(row, i, marked=several) for row in rows])
        for i, head in enumerate(heads)
    ]
    if several:
        spread = [_share(row.spread, sign=False) for row in rows]
        return [*columns, Column("spread", spread, rank=1)]
    firsts = [row.differences[0] for row in rows]
    columns.append(Column("change", [signed(one.change) for one in firsts], rank=2))
    columns.append(Column("relative", [_share(one.relative) for one in firsts], rank=3))
    columns.append(Column("verdict", [_outcome(one) for one in firsts], right=False))
    if grouped:
        columns.append(Column("p", [number(one.p_adjusted, digits=2) for one in firsts], rank=1))
    return columns


def _heads(names: Sequence[str]) -> tuple[str, ...]:
    return shorten(names, HEAD_WIDTH).names if len(set(names)) > 1 else tuple(names)


def _cell(row: Row, side: int, *, marked: bool) -> Text:
    one = row.numbers[side]
    if one.status is Status.failed and not math.isfinite(one.value):
        return Text("failed", FAILED)
    if one.status is Status.skipped:
        return Text(one.status.name, QUIET)
    text = number(one.value, one.error)
    if one.status is Status.unconverged:
        text = UNCONVERGED + text
    if not marked:
        return Text(text)
    differs = side > 0 and row.differences[side - 1].outcome is Outcome.differs
    return Text(text + (MARK if differs else " "), PICKED if differs else "")


def _outcome(one: Difference) -> Text:
    if math.isnan(one.change) and not one.why:
        return Text(MISSING, QUIET)
    return Text(one.outcome.value, PICKED if one.outcome is Outcome.differs else QUIET)


def _share(value: float, *, sign: bool = True) -> str:
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    plus = "+" if sign and value > 0 else ""
    return f"{plus}{number(100 * value, digits=2)} %"


def _ordered(rows: Sequence[Row], *, counted: bool) -> list[Row]:
    """The furthest apart first, what has no number last; a rank keeps its place."""
    if counted:
        return list(rows)
    return sorted(rows, key=lambda row: -row.spread if math.isfinite(row.spread) else 1.0)


def _notes(compared: Compared, rows: Sequence[Row]) -> list[str]:
    reasons = [(row.entry or compared.metric, d.why) for row in rows for d in row.differences]
    notes = _reasons(reasons)
    by_sides: dict[tuple[str, ...], list[str]] = {}
    for entry, who in compared.only.items():
        by_sides.setdefault(who, []).append(entry)
    notes += [f"only in {_listed(who)}: {_listed(named)}" for who, named in by_sides.items()]
    notes += [f"{name} has no {compared.metric}" for name in compared.without]
    if any(n.status is Status.unconverged for row in rows for n in row.numbers):
        notes.append(f"{UNCONVERGED} not converged: the error says how far it got")
    notes += _too_few([d for row in rows for d in row.differences], compared.level)
    return notes + _caveat(compared.grouped, rows) + _legend(compared.sides, rows)


def _legend(sides: Sequence[str], rows: Sequence[Row]) -> list[str]:
    marked = any(d.outcome is Outcome.differs for row in rows for d in row.differences)
    if len(sides) < 3 or not marked:
        return []
    return [f"{MARK} differs from {sides[0]} by more than errors or seeds explain"]


def _caveat(grouped: bool, rows: Sequence[object]) -> list[str]:
    """What a difference of two runs is worth."""
    if grouped or not rows:
        return []
    return [
        "One run a side: `differs` is said of these runs, not of their recipes, for two seeds of"
        " one recipe differ too. Several seeds: --group NAME='GLOB'."
    ]


def _too_few(all_differences: Sequence[Difference], level: float) -> list[str]:
    """What more seeds it would take, where there are too few for the tests."""
    few = [one for one in all_differences if one.outcome is Outcome.too_few]
    if not few:
        return []
    tests = sum(math.isfinite(one.p) for one in all_differences)
    needed = reports_needed(level / tests, two_sided=True)
    n, m = few[0].samples
    fewer = "; or ask for fewer at once, with --metric and --layer" if tests > 1 else ""
    return [
        f"too few: {n} against {m} seeds give p = {few[0].floor:.2g} at best, times"
        f" {count(tests, 'test')} (Holm). {needed} a side could show a difference{fewer}."
    ]


def _reasons(found: Iterable[tuple[str, str]]) -> list[str]:
    """What is not tested, by its reason."""
    by_reason: dict[str, list[str]] = {}
    for name, why in found:
        if why:
            by_reason.setdefault(why, []).append(name)
    return [
        f"not tested: {_listed(list(dict.fromkeys(names)))}. {why}"
        for why, names in by_reason.items()
    ]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")
