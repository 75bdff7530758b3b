"""Deciding: a verdict and a sentence for every pair of sides whose numbers may be compared."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dyntools.checks import joint, permutations
from dyntools.checks.cases import Case, case_of
from dyntools.checks.correction import Found, found
from dyntools.checks.pairing import Pair
from dyntools.checks.sentences import amount, chance, moved, share
from dyntools.checks.settled import checked
from dyntools.checks.verdict import Check, Verdict
from dyntools.measurement import Status


def decided(pairs: Sequence[Pair], level: float, seed: int) -> list[Check]:
    """One check a pair, in their order."""
    cases = [case_of(pair) for pair in pairs]
    results = found(cases, level, seed)
    return [_check(case, result, level) for case, result in zip(cases, results, strict=True)]


def _check(case: Case, result: Found, level: float) -> Check:
    verdict, sentence = _verdict(case, result, level)
    limit = case.pair.limit
    return checked(
        case.pair,
        verdict,
        sentence,
        tolerance=limit.bound if limit.relation.bounds else case.tolerance,
        uncertainty=result.uncertainty,
        p=result.p if result.random else math.nan,
        p_adjusted=result.adjusted if result.random else math.nan,
        effect=result.effect,
        detectable=result.detectable,
    )


def _verdict(case: Case, result: Found, level: float) -> tuple[Verdict, str]:
    what = _what(case)
    beyond = case.size > case.tolerance
    allowed = _allowed(case)
    if beyond and result.adjusted <= level:
        return Verdict.fail, f"It {what}, beyond {allowed}{_because(case, result)}."
    if case.size + result.uncertainty <= case.tolerance:
        doubt = _doubt(case)
        if doubt:
            return Verdict.inconclusive, f"It {what}, within {allowed}, but {doubt}."
        return Verdict.passed, f"It {what}, within {allowed}."
    error = f"±{amount(result.uncertainty)}"
    if not beyond:
        why = f"but its error bar of {error} reaches beyond"
    elif result.random and result.least > level:
        why = _never(case, result, level)
    elif result.p <= level:
        why = f"but not by more than chance over all checks ({_chance(result)})"
    else:
        why = f"but by less than its uncertainty of {error}"
    place = "beyond" if beyond else "within"
    return Verdict.inconclusive, f"It {what}, {place} {allowed}, {why}."


def _what(case: Case) -> str:
    now, before = case.pair.now, case.pair.before
    assert now is not None
    return f"is {amount(now.value)}" if before is None else moved(before.value, now.value)


def _allowed(case: Case) -> str:
    limit = case.pair.limit
    if limit.bound is not None:
        return f"the limit {limit.relation} {amount(limit.bound)}"
    words = [] if limit.relative is None else [share(limit.relative).lstrip("+")]
    words += [] if limit.absolute is None else [amount(limit.absolute)]
    return " or ".join(words)


def _because(case: Case, result: Found) -> str:
    if result.random:
        return f" and beyond chance ({_chance(result)}; uncertainty ±{amount(result.uncertainty)})"
    if result.uncertainty:
        return f", by more than its error bars of ±{amount(result.uncertainty)}"
    return ""


def _chance(result: Found) -> str:
    return chance(result.p, result.adjusted, result.family, result.by)


def _never(case: Case, result: Found, level: float) -> str:
    n, m = case.counts
    two_sided = case.side == 0 and case.tolerance + case.bound == 0
    alone = permutations.reports_needed(level / result.family, two_sided=two_sided)
    needed = min(alone, joint.reports_needed(level))
    tests = "" if result.family <= 1 else f" over {result.family} tests"
    return (
        f"but {n} against {m} reports can give no p below {result.least:.2g}{tests}, so they could "
        f"show no change at the level {level:g}, however large: it takes {needed} a side"
    )


def _doubt(case: Case) -> str:
    """Why a number within its tolerance is still no pass."""
    now = case.pair.now
    assert now is not None
    lost = len(now.samples) - len(now.usable)
    if lost:
        return f"{lost} of {len(now.samples)} reports have no number for it"
    for side, quantity in (("now", now), ("in the baseline", case.pair.before)):
        if quantity and any(s.status == Status.unconverged for s in quantity.usable):
            return f"it did not converge {side}"
    if case.pair.before is None and any(sample.missed for sample in now.samples):
        return "it could not be computed at some steps"
    return ""
