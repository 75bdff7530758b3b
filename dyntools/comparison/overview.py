"""Overview: several reports side by side without a metric asked for.

One headline a metric at the last place that the reports share; then the entries (layers, ranks) of
all metrics in which the reports lie furthest apart; then the findings that some have and others
lack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from dyntools import findings
from dyntools.checks.significance import LEVEL
from dyntools.comparison.alignment import By
from dyntools.comparison.compared import Compared, Row, compare, metrics_of
from dyntools.comparison.differing import Outcome, decided
from dyntools.comparison.headline import Headline, headline
from dyntools.comparison.side import Side
from dyntools.errors import ReportError
from dyntools.findings import Finding


@dataclass(frozen=True, eq=False)
class Line:
    """One metric: what was taken of it, the comparison of that, and its row at the last place."""

    of: str
    compared: Compared
    row: Row


@dataclass(frozen=True, eq=False)
class Far:
    """One entry of a metric in which the sides lie far apart."""

    compared: Compared
    row: Row


@dataclass(frozen=True)
class Seen:
    """A finding that some sides have. seen: how many of its reports, for each side."""

    finding: Finding
    seen: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Overview:
    """sides: all of them. lines, far, seen: see the classes; far is the furthest first.

    unshared: metric → sides that have it, of those that not all have. curves: metrics that have no
    headline. refused: metric → why it cannot be set side by side. level: of the tests.
    """

    sides: tuple[Side, ...]
    lines: tuple[Line, ...]
    far: tuple[Far, ...]
    seen: tuple[Seen, ...]
    unshared: dict[str, tuple[str, ...]]
    curves: tuple[str, ...]
    refused: dict[str, str]
    level: float = LEVEL


def overview(sides: Sequence[Side], by: By | None = None, level: float = LEVEL) -> Overview:
    """Compare all metrics that at least two sides have. Raises ReportError where there is none.

    The headlines are tested together, and the entries of each metric together.
    """
    names = metrics_of(sides)
    if not names:
        raise ReportError(
            "The reports have no metric in common.",
            found="; ".join(f"{side.name}: {_listed(side)}" for side in sides),
            remedy="analyze all runs with the same preset",
        )
    lines, far, curves, refused = [], [], [], {}
    for name in names:
        try:
            found = headline(sides, name)
            whole = compare(sides, name, by, level)
            if found is not None:
                compared = compare(found.sides, name, by, level)
        except ReportError as error:
            refused[name] = str(error.what)
            continue
        if found is None:
            curves.append(name)
            continue
        reasons = tuple(_any(reasons) or _of_median(found, whole) for reasons in whole.reasons)
        compared = replace(compared, reasons=tuple((reason,) for reason in reasons))
        lines.append(Line(found.of, compared, compared.rows(compared.last)[0]))
        far += [Far(whole, row) for row in whole.rows(whole.last) if _is_far(row)]
    return Overview(
        sides=tuple(sides),
        lines=_together(lines, level),
        far=tuple(sorted(far, key=lambda one: -one.row.spread)),
        seen=_findings(sides),
        unshared=_unshared(sides),
        curves=tuple(curves),
        refused=refused,
        level=level,
    )


def _any(reasons: Sequence[str]) -> str:
    """What speaks against comparing all entries, and so against their headline."""
    return reasons[0] if reasons and all(reasons) else ""


def _of_median(found: Headline, whole: Compared) -> str:
    if whole.grouped or not found.median:
        return ""
    return "A median has no error of its own; entry by entry: --metric NAME."


def _together(lines: Sequence[Line], level: float) -> tuple[Line, ...]:
    """The headlines with their p adjusted over all of them and all sides."""
    together = iter(decided([d for line in lines for d in line.row.differences], level))
    return tuple(
        replace(line, row=replace(line.row, differences=tuple(islice(together, count))))
        for line in lines
        for count in [len(line.row.differences)]
    )


def _is_far(row: Row) -> bool:
    """Whether a row belongs among the largest differences: errors or seeds do not explain it."""
    shown = (Outcome.differs, Outcome.too_few)
    return row.spread > 0 and any(one.outcome in shown for one in row.differences)


def _findings(sides: Sequence[Side]) -> tuple[Seen, ...]:
    """Findings are the same where their rules are."""
    first: dict[str, Finding] = {}
    counts: list[dict[str, int]] = []
    for side in sides:
        count: dict[str, int] = {}
        for report in side.reports:
            for finding in {one.rule: one for one in reversed(findings.find(report))}.values():
                first.setdefault(finding.rule, finding)
                count[finding.rule] = count.get(finding.rule, 0) + 1
        counts.append(count)
    seen = [Seen(f, tuple(count.get(rule, 0) for count in counts)) for rule, f in first.items()]
    return tuple(one for one in seen if _apart(one, sides))


def _apart(seen: Seen, sides: Sequence[Side]) -> bool:
    shares = {n / len(side.reports) for n, side in zip(seen.seen, sides, strict=True)}
    return len(shares) > 1


def _unshared(sides: Sequence[Side]) -> dict[str, tuple[str, ...]]:
    having: dict[str, list[str]] = {}
    for side in sides:
        for name in dict.fromkeys(n for report in side.reports for n in report.series):
            having.setdefault(name, []).append(side.name)
    return {name: tuple(who) for name, who in having.items() if len(who) < len(sides)}


def _listed(side: Side) -> str:
    names = list(dict.fromkeys(n for report in side.reports for n in report.series))
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more if names else "none"
