"""Check rows: an outcome as few lines of text, the worst first.

What did not pass has a line a check, up to `MOST`; passes of one limit stand in one line, with the
entry that came nearest to failing. A report of ten thousand layers is a page long.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

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
    bad = [check for check in outcome.checks if check.verdict is not Verdict.passed]
    good = [check for check in outcome.checks if check.verdict is Verdict.passed]
    found = [_row(check) for check in bad[:most]]
    found += [_rest(alike) for alike in _by_limit(bad[most:])]
    for alike in _by_limit(good):
        if len(alike) > FEW:
            found.append(_folded(alike))
        else:
            found += [_row(check) for check in alike]
    return found


def subject(check: Check) -> str:
    """What the limit is on, as it was written: `effective_rank[layer=*.weight]@min`."""
    return printable(limit_of(check.limit).subject)


def _by_limit(checks: Iterable[Check]) -> list[list[Check]]:
    """Checks of one verdict and one limit together, in the order given."""
    groups: dict[tuple[Verdict, str], list[Check]] = {}
    for check in checks:
        groups.setdefault((check.verdict, check.limit), []).append(check)
    return list(groups.values())


def _row(check: Check) -> Row:
    return Row(
        mark(check),
        subject(check),
        printable(check.entry),
        value_text(check.baseline, check.baseline_error),
        value_text(check.now, check.now_error),
        change_text(check),
        tolerance_text(check),
        check.verdict,
        "" if check.p_adjusted is None else number(check.p_adjusted),
    )


def _folded(alike: Sequence[Check]) -> Row:
    """All passes of one limit, by the one that came nearest to failing."""
    shown = _row(max(alike, key=nearness))
    return replace(shown, entry=f"{len(alike)} entries", folded=len(alike) - 1)


def _rest(alike: Sequence[Check]) -> Row:
    """Checks that did not pass and for which there is no line of their own."""
    first = alike[0]
    empty, entry = ("",) * 4, f"and {len(alike)} more"
    return Row(mark(first), subject(first), entry, *empty, first.verdict, folded=len(alike) - 1)
