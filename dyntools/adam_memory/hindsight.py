"""Hindsight: would fewer of the measured steps have led to the same decision?

The rule is applied to the first 10, 25 and 50 % of the measured steps, to those of the warm-up, to
evenly spaced ones, and to the last alone. Where these disagree, the run changed, and a decision for
the next run rests on when one looked: a plain mean over checkpoints that lie closer at the start
speaks of the start (94 % saved against 62 %, docs/reproductions/low-memory-adam.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from dyntools.adam_memory.decision import Decision, decide
from dyntools.adam_memory.evidence import evidence_of
from dyntools.adam_memory.rates import rates_of
from dyntools.errors import DyntoolsError
from dyntools.layer_kinds import Kinds
from dyntools.report import Report

SHARES = (0.10, 0.25, 0.50)  # of the measured steps, from the first on; chosen

NEARLY = 0.9  # of the widest gap is as wide, as from step 1 to 100 among hundreds; chosen


@dataclass(frozen=True)
class Retrospect:
    """What some of the steps would have led to.

    agree: tensors given the same form as by all steps, of `tensors`. saved: share of the entries of
    v, or of its bytes where the decision has codes of 8 bit, which keep every entry; NaN with the
    reason where these steps allow no decision.
    """

    label: str
    steps: tuple[int, ...]
    agree: int
    tensors: int
    saved: float
    reason: str = ""


def hindsight(
    report: Report, decision: Decision, *, kinds: Kinds | None = None, warm_up: int | None = None
) -> tuple[Retrospect, ...]:
    """Retrospects on a decision made from all steps of the report.

    warm_up: the step at which it ended; None reads it from the learning rates, where there are any.
    Empty when one step was measured.
    """
    steps = decision.evidence.steps
    if warm_up is None:
        rates = rates_of(report, decision.evidence.step_unit)
        warm_up = 0 if rates is None else rates.warm_up
    return tuple(
        _retrospect(report, decision, kinds, label, some)
        for label, some in _parts(steps, warm_up)
        if some and some != steps
    )


def _parts(steps: tuple[int, ...], warm_up: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    counts = {math.ceil(share * len(steps)): share for share in SHARES}  # the largest of equals
    for count, share in counts.items():
        yield f"first {100 * share:.0f} %", steps[:count]
    yield "warm-up", tuple(step for step in steps if step < warm_up)
    yield "even steps", evenly_spaced(steps)
    yield "last only", steps[-1:]


def evenly_spaced(steps: tuple[int, ...]) -> tuple[int, ...]:
    """Those that lie about the widest gap apart, from the last one back; ascending."""
    widest = max((b - a for a, b in pairwise(steps)), default=0)
    chosen = [*steps[-1:]]
    for step in reversed(steps):
        if chosen[-1] - step >= NEARLY * widest > 0:
            chosen.append(step)
    return tuple(reversed(chosen))


def _retrospect(
    report: Report, decision: Decision, kinds: Kinds | None, label: str, steps: tuple[int, ...]
) -> Retrospect:
    forms = decision.forms
    try:
        evidence = evidence_of(report, kinds=kinds, steps=steps)
        then = decide(evidence, decision.rule, decision.cutoff, decision.max_update_error)
    except DyntoolsError as error:
        return Retrospect(label, steps, 0, len(forms), math.nan, error.what)
    agree = sum(then.forms.get(name) == form for name, form in forms.items())
    saved = then.second_moment.saved if decision.needs_library else then.saved
    return Retrospect(label, steps, agree, len(forms), saved)
