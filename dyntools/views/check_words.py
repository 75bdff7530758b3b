"""Check words: the marks, numbers and sentences that every output of `dyntools check` shares.

Marks are those of asv (airspeed velocity): `+` rose and `-` fell beyond the tolerance, `~` not to
be told from noise, `x` not comparable, `!` no number now. A pass has none.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from dyntools.checks.limit import Limit, Relation, parse
from dyntools.checks.verdict import Check, Outcome, Verdict
from dyntools.views.numbers import MISSING, count, number, signed

RISE, FALL, UNCLEAR, UNLIKE, GONE, PASS = "+", "-", "~", "x", "!", " "
MARKED = {
    RISE: "rose",
    FALL: "fell",
    UNCLEAR: "inconclusive",
    UNLIKE: "not comparable",
    GONE: "no number",
}
OF_BOUND = {RISE: "too high", FALL: "too low"}  # there the number may not have moved at all
LEGEND = "  ".join(
    f"{sign} {', '.join(filter(None, (word, OF_BOUND.get(sign))))}" for sign, word in MARKED.items()
)
WORDS = {  # for the headline: how many checks …
    Verdict.fail: "failed",
    Verdict.not_comparable: "not comparable",
    Verdict.inconclusive: "inconclusive",
    Verdict.passed: "passed",
}
NOTHING = "nothing was checked"
OF_ONE_TRAINING = " One training a side: it changed; whether the recipe did, only more seeds tell."
SIDES = {
    Relation.below: "< ",
    Relation.above: "> ",
    Relation.within: "±",
    Relation.not_above: "+",
    Relation.not_below: "-",
}


@dataclass(frozen=True)
class Judged:
    """An outcome and what the command makes of it: its exit code, and how to accept the change."""

    outcome: Outcome
    exit_code: int
    accept: str = ""  # a command; empty where there is nothing that a baseline could accept
    then: str = ""  # the option that later checks need, where that command makes a new file


def mark(check: Check) -> str:
    """One character that says what became of a check."""
    if not known(check.now) and check.verdict is not Verdict.passed:
        return GONE
    if check.verdict is Verdict.fail:
        return RISE if _rose(check) else FALL
    return {Verdict.inconclusive: UNCLEAR, Verdict.not_comparable: UNLIKE}.get(check.verdict, PASS)


def mark_word(check: Check) -> str:
    """What the mark means, in words; of a bound "too high", for nothing need have risen."""
    sign = mark(check)
    word = OF_BOUND.get(sign) if is_bound(check) else None
    return word or MARKED.get(sign, str(check.verdict))


def known(value: float | None) -> bool:
    """Whether there is a finite number."""
    return value is not None and math.isfinite(value)


@lru_cache(maxsize=1024)
def limit_of(text: str) -> Limit:
    """The limit of a check, read once for all its entries."""
    return parse(text)


def is_bound(check: Check) -> bool:
    """Whether the limit is on the number itself, so that no baseline would change the verdict."""
    return limit_of(check.limit).relation.bounds


def value_text(value: float | None, error: float | None) -> str:
    """`1.23±0.05`, or a dash."""
    return MISSING if value is None else number(value, error)


def change_text(check: Check) -> str:
    """`+21 %` where the limit is relative, else `+0.21`."""
    if in_percent(check):
        return f"{signed(100 * _number(check.relative_change))} %"
    return signed(check.change) if check.change is not None else MISSING


def tolerance_text(check: Check) -> str:
    """What the limit allows, in the terms of `change_text`; of a bound the bound."""
    if check.tolerance is None or not math.isfinite(check.tolerance):
        return MISSING
    side = SIDES[limit_of(check.limit).relation]
    if in_percent(check):
        return f"{side}{number(100 * abs(check.tolerance / _number(check.baseline)))} %"
    return side + number(check.tolerance)


def in_percent(check: Check) -> bool:
    """Whether it is the share of the baseline that counts, of `within 10% or 0.1` the larger."""
    relative = limit_of(check.limit).relative
    if relative is None or not known(check.relative_change) or not check.baseline:
        return False
    allowed = relative * abs(check.baseline)
    return check.tolerance is None or math.isclose(check.tolerance, allowed, rel_tol=1e-6)


def nearness(check: Check) -> float:
    """The change as a share of what is allowed: which of several passes came nearest to failing.

    Of a bound it is how far the number lies on the wrong side, so that the nearest is the largest.
    """
    limit = limit_of(check.limit)
    if limit.relation.bounds:
        beyond = _number(check.now) - _number(check.tolerance)
        share = beyond if limit.relation is Relation.below else -beyond
    else:
        against = {Relation.not_above: 1.0, Relation.not_below: -1.0}.get(limit.relation)
        change = _number(check.change)
        share = (abs(change) if against is None else against * change) / (check.tolerance or 1.0)
    return share if math.isfinite(share) else -math.inf


def told(check: Check) -> str:
    """The sentence of a check with its subject: `hessian_top[rank=1]@last rose from 17 to 25, …`"""
    if check.sentence.startswith("It "):
        return f"{check.quantity} {check.sentence.removeprefix('It ')}"
    return f"{check.quantity}: {check.sentence}"


def title(outcome: Outcome) -> str:
    """What was compared with what."""
    against = f" against {outcome.baseline}" if outcome.baseline else ""
    return f"Check of {outcome.report}{against}"


def counts(outcome: Outcome) -> dict[Verdict, int]:
    """How many checks ended in each verdict, the worst first."""
    found = Counter(check.verdict for check in outcome.checks)
    return {verdict: found[verdict] for verdict in Verdict}


def headline(outcome: Outcome) -> str:
    """`FAIL: 2 of 12 checks failed, 1 inconclusive.`, and what one training a side cannot tell."""
    total = len(outcome.checks)
    if not total:
        return f"{outcome.verdict.upper()}: {NOTHING}."
    told = [(WORDS[verdict], n) for verdict, n in counts(outcome).items() if n]
    (first, many), *rest = told
    start = f"{many} of {count(total, 'check')}" if rest else count(total, "check")
    tail = "".join(f", {n} {word}" for word, n in rest)
    said = OF_ONE_TRAINING if _one_training_failed(outcome) else ""
    return f"{outcome.verdict.upper()}: {start} {first}{tail}.{said}"


def _one_training_failed(outcome: Outcome) -> bool:
    """Whether what failed did so against one other training, whose seed alone may be the cause."""
    failed = [check for check in outcome.checks if check.verdict is Verdict.fail]
    return bool(failed) and all(check.samples == (1, 1) for check in failed)


def last_line(judged: Judged) -> str:
    """The verdict, and the command that would accept what was found."""
    outcome = judged.outcome
    line = headline(outcome)
    if outcome.verdict is Verdict.passed:
        return line
    if judged.exit_code == 0:
        line += " The exit code is 0 as asked."
    if judged.accept:
        then = f" (and {judged.then} from then on)" if judged.then else ""
        return f"{line} To accept what is there now: {judged.accept}{then}"
    failing = [check for check in outcome.checks if check.verdict is not Verdict.passed]
    if failing and all(known(check.now) for check in failing):
        return f"{line} To accept what is there now: change the limit."
    return line


def foot(outcome: Outcome) -> list[str]:
    """Where the limits came from, at which level was tested, and the notes."""
    lines = [f"limits: {outcome.source}"] if outcome.source else []
    if any(check.p is not None for check in outcome.checks):
        lines.append(f"tests at level {outcome.level:g} over all checks together")
    return [*lines, *outcome.notes]


def _rose(check: Check) -> bool:
    if check.change is not None:
        return check.change > 0
    return limit_of(check.limit).relation is not Relation.above  # of a bound


def _number(value: float | None) -> float:
    return math.nan if value is None else value
