"""Settled: the checks that are decided before any statistics.

A side without the number, two numbers that are not the same measurement, and a number that could
not be computed where the baseline has one: the last is a real difference, as of a run that
diverged, and fails. None of them passes.
"""

from __future__ import annotations

import math
from typing import Any

from dyntools.checks import comparable
from dyntools.checks.pairing import Pair
from dyntools.checks.quantity import Quantity
from dyntools.checks.sentences import amount, listed_steps, moved, without_number
from dyntools.checks.verdict import Check, Verdict
from dyntools.measurement import Status

UNNAMED = ("layer", "block")  # dims whose labels are names that tell what they are


def settled(pair: Pair) -> Check | None:
    """The check, or None where the numbers have to be tested."""
    if pair.missing or pair.now is None:
        return checked(pair, Verdict.not_comparable, pair.missing)
    now, before = pair.now, pair.before
    if before is not None and (why := comparable.unlike_or_mixed(before, now)):
        return checked(pair, Verdict.not_comparable, why)
    if before is None and now.usable and (why := comparable.pooled(now)):
        return checked(pair, Verdict.not_comparable, why)
    if found := _without(now, before):
        return checked(pair, *found)
    if before is not None:
        if lost := _newly_missed(before, now):
            at = listed_steps(lost, now.step_unit)
            why = f"It could not be computed{at} now, where the baseline has numbers."
            return checked(pair, Verdict.fail, why)
        if why := comparable.other_steps(before, now) or comparable.other_parts(before, now):
            return checked(pair, Verdict.not_comparable, why)
    if why := _unknown_error(now, before):
        return checked(pair, Verdict.inconclusive, why)
    return None


def _unknown_error(now: Quantity, before: Quantity | None) -> str:
    """Why error bars cannot decide; the scatter of several reports needs none of them."""
    sides = [now] if before is None else [now, before]
    if any(len(side.usable) > 1 for side in sides):
        return ""
    unknown = [side for side in sides if math.isnan(side.error)]
    if not unknown:
        return ""
    found = f"is {amount(now.value)}" if before is None else moved(before.value, now.value)
    place = (
        "" if len(unknown) == len(sides) else " now" if unknown[0] is now else " in the baseline"
    )
    return f"It {found}, but its error is not known{place}; several reports a side need none."


def _without(now: Quantity, before: Quantity | None) -> tuple[Verdict, str] | None:
    if not now.usable:
        sentence = f"It {without_number('now', now)}"
        failed = any(s.status in (Status.failed, Status.unconverged) for s in now.samples)
        if before is not None and before.usable:
            sentence += f", where the baseline has {before.value:.4g}."
            return (Verdict.fail if failed else Verdict.not_comparable), sentence
        verdict = Verdict.inconclusive if failed else Verdict.not_comparable
        return verdict, sentence + ("." if before is None else ", as in the baseline.")
    if before is not None and not before.usable:
        failed = any(s.status in (Status.failed, Status.unconverged) for s in before.samples)
        verdict = Verdict.inconclusive if failed else Verdict.not_comparable
        return verdict, f"It {without_number('in the baseline', before)}."
    return None


def _newly_missed(before: Quantity, now: Quantity) -> tuple[int, ...]:
    """Steps at which the baseline has numbers and no report has one now."""
    known = {step for sample in before.samples for step in sample.missed}
    there = {step for sample in before.samples for step in sample.steps}
    lost = set.intersection(*({*sample.missed} for sample in now.samples))
    return tuple(sorted((lost - known) & there))


def checked(pair: Pair, verdict: Verdict, sentence: str, **more: Any) -> Check:
    """A check with all that is known of both sides filled in."""
    now, before, either = pair.now, pair.before, pair.either
    fields: dict[str, Any] = {
        "limit": str(pair.limit),
        "quantity": pair.key,
        "metric": pair.limit.metric,
        "entry": entry_of(pair),
        "unit": either.unit if either else "",
        "samples": (len(before.usable) if before else 0, len(now.usable) if now else 0),
    }
    for side, quantity in (("baseline", before), ("now", now)):
        if quantity is not None and quantity.usable:
            fields[side] = quantity.value
            fields[f"{side}_error"] = None if math.isnan(quantity.error) else quantity.error
    if "baseline" in fields and "now" in fields:
        change = fields["now"] - fields["baseline"]
        fields["change"] = change
        if fields["baseline"]:
            fields["relative_change"] = change / abs(fields["baseline"])
    found = {key: value for key, value in more.items() if _known(value)}
    return Check(verdict, sentence, **{**fields, **found})


def _known(value: object) -> bool:
    return not (isinstance(value, float) and not math.isfinite(value))


def entry_of(pair: Pair) -> str:
    """Its layer and its other labels; "" for the whole model."""
    if pair.either is None:
        return ""
    labels = [(dim, label) for dim, label in pair.either.labels if label != "all"]
    return ", ".join(label if dim in UNNAMED else f"{dim}={label}" for dim, label in labels)
