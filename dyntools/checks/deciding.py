"""Deciding: a verdict and a sentence for every pair of sides whose numbers may be compared."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dyntools.checks import joint, permutations
from dyntools.checks.cases import Case, case_of
from dyntools.checks.correction import Found, found
from dyntools.checks.pairing import Pair
from dyntools.checks.sentences import amount, chance, listed_steps, moved, share
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
    allowed, against = _allowed(case), _against(case)
    if beyond and result.adjusted <= level:
        return Verdict.fail, f"It {what}, {against}{_because(result)}."
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
    place = against if beyond else f"within {allowed}"
    return Verdict.inconclusive, f"It {what}, {place}, {why}."


def _what(case: Case) -> str:
    now, before = case.pair.now, case.pair.before
    assert now is not None
    found = f"is {amount(now.value)}" if before is None else moved(before.value, now.value)
    return found + _where(case)


def _allowed(case: Case) -> str:
    limit = case.pair.limit
    if limit.bound is not None:
        return f"the limit {limit.relation} {amount(limit.bound)}"
    words = [] if limit.relative is None else [share(limit.relative).lstrip("+")]
    words += [] if limit.absolute is None else [amount(limit.absolute)]
    return " or ".join(words)


def _against(case: Case) -> str:
    """How a change lies beyond its tolerance, and a number beyond its bound."""
    limit = case.pair.limit
    if limit.bound is not None:
        return f"not {limit.relation} {amount(limit.bound)}"
    return f"beyond {_allowed(case)}"


def _because(result: Found) -> str:
    if result.random:
        return f" and beyond chance ({_chance(result)}; uncertainty ±{amount(result.uncertainty)})"
    if result.uncertainty:
        return f", by more than its error bars of ±{amount(result.uncertainty)}"
    return ""


def _chance(result: Found) -> str:
    return chance(result.p, result.adjusted, result.family, result.by)


def _never(case: Case, result: Found, level: float) -> str:
    n, m = case.counts
    alone = permutations.reports_needed(level / result.family, two_sided=result.mirrored)
    needed = min(alone, joint.reports_needed(level) or alone)
    tests = "" if result.family <= 1 else f" over {result.family} tests"
    return (
        f"but {n} against {m} reports can give no p below {result.least:.2g}{tests}, so they could "
        f"show no change at the level {level:g}, however large: it takes {needed} a side"
    )


def _doubt(case: Case) -> str:
    """Why a number within its tolerance is still no pass."""
    now = case.pair.now
    assert now is not None
    before = case.pair.before
    for whose, quantity in (("reports", now), ("reports of the baseline", before)):
        lost = 0 if quantity is None else len(quantity.samples) - len(quantity.usable)
        if quantity and lost:
            return f"{lost} of {len(quantity.samples)} {whose} have no number for it"
    for side, quantity in (("now", now), ("in the baseline", before)):
        if quantity and any(s.status == Status.unconverged for s in quantity.usable):
            return f"it did not converge {side}"
    if before is None and any(sample.missed for sample in now.samples):
        return "it could not be computed at some steps"
    # Against a baseline the same steps count on both sides (see `comparable`), as `_where` says.
    skipped = next((sample.skipped for sample in now.samples if sample.skipped), ())
    if before is None and skipped:
        return f"it was skipped, or is not there,{listed_steps(skipped, now.step_unit)}"
    return ""


def _where(case: Case) -> str:
    """Which step a last number is of, where the last step has none on both sides."""
    now = case.pair.now
    assert now is not None
    behind = any(sample.skipped for sample in now.usable)
    if case.pair.limit.reduction != "last" or not behind:
        return ""
    return f", at {now.step_unit} {now.usable[0].steps[-1]}, for it was skipped behind that"
