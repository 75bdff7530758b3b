"""Check rows: an outcome as few lines of text, the worst first.

What did not pass has a line a check, up to `MOST`; passes of one limit stand in one line, with the
entry that came nearest to failing. A report of ten thousand layers is a page long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from dyntools.checks.sentences import SMALLEST_P
from dyntools.checks.verdict import Check, Outcome, Verdict
from dyntools.views.check_words import (
    change_text,
    limit_of,
    mark,
    nearness,
    tolerance_text,
    value_text,
)
from dyntools.views.names import printable
from dyntools.views.numbers import number

MOST = 40  # checks that did not pass, one line each; chosen: two screens
FEW = 3  # passes of one limit that are not worth folding; chosen
OF_SEVERAL = "of several entries the one nearest to its limit is shown"


@dataclass(frozen=True)
class Row:
    """One line of the table, as text. It stands for `folded` + 1 checks."""

    mark: str
    metric: str
    entry: str
    baseline: str
    now: str
    change: str
    tolerance: str
    verdict: Verdict
    p: str = ""
    folded: int = 0


def rows(outcome: Outcome, most: int = MOST) -> list[Row]:
    """The lines of a table: what did not pass, one by one, then the passes of each limit."""
    subjects = _subjects(outcome.checks)
    bad = [check for check in outcome.checks if check.verdict is not Verdict.passed]
    good = [check for check in outcome.checks if check.verdict is Verdict.passed]
    found = [_row(check, subjects) for check in bad[:most]]
    found += [_rest(alike, subjects) for alike in _by_limit(bad[most:])]
    for alike in _by_limit(good):
        if len(alike) > FEW:
            found.append(_folded(alike, subjects))
        else:
            found += [_row(check, subjects) for check in alike]
    return found


def _subjects(checks: Iterable[Check]) -> dict[str, str]:
    """By limit what it is on: `effective_rank@min`, for the entry stands in a column of its own.

    As it was written, `effective_rank[layer=*.weight]@min`, where there is no entry, or where two
    limits would read alike.
    """
    written = {check.limit: limit_of(check.limit).subject for check in checks}
    short = {text: replace(limit_of(text), selection=()).subject for text in written}
    sources = {(short[text], subject) for text, subject in written.items()}
    shared = Counter(one for one, _ in sources)
    whole = {check.limit for check in checks if not check.entry}
    return {
        text: printable(subject if text in whole or shared[short[text]] > 1 else short[text])
        for text, subject in written.items()
    }


def _chance(p: float | None) -> str:
    """`0.012`; never 0, which no p is."""
    if p is None:
        return ""
    return f"<{SMALLEST_P:g}" if p < SMALLEST_P else number(p)


def _by_limit(checks: Iterable[Check]) -> list[list[Check]]:
    """Checks of one verdict and one limit together, in the order given."""
    groups: dict[tuple[Verdict, str], list[Check]] = {}
    for check in checks:
        groups.setdefault((check.verdict, check.limit), []).append(check)
    return list(groups.values())


def _row(check: Check, subjects: Mapping[str, str]) -> Row:
    return Row(
        mark(check),
        subjects[check.limit],
        printable(check.entry),
        value_text(check.baseline, check.baseline_error),
        value_text(check.now, check.now_error),
        change_text(check),
        tolerance_text(check),
        check.verdict,
        _chance(check.p_adjusted),
    )


def _folded(alike: Sequence[Check], subjects: Mapping[str, str]) -> Row:
    """All passes of one limit, by the one that came nearest to failing."""
    shown = _row(max(alike, key=nearness), subjects)
    return replace(shown, entry=f"{len(alike)} entries", folded=len(alike) - 1)


def _rest(alike: Sequence[Check], subjects: Mapping[str, str]) -> Row:
    """Checks that did not pass and for which there is no line of their own."""
    first = alike[0]
    empty, entry = ("",) * 4, f"and {len(alike)} more"
    name = subjects[first.limit]
    return Row(mark(first), name, entry, *empty, first.verdict, folded=len(alike) - 1)
