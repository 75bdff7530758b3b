"""Memory entries: what is said of each tensor, or of tensors alike, in the table of a plan."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dyntools.adam_memory import Choice, Decision, Tensor
from dyntools.forms import FULL
from dyntools.views.memory_words import amount, layout_of, words_of
from dyntools.views.names import printable
from dyntools.views.numbers import MISSING, number

FEW_EXCEPTIONS = 3  # tensors of one kind and form that are named one by one; chosen


@dataclass(frozen=True)
class Entry:
    """What is said of one tensor, or of several alike. quiet: it is kept in full."""

    name: str
    form: str
    numbers: tuple[str, ...]
    quiet: bool


def grouped(decision: Decision) -> list[Entry]:
    """Tensors of one kind and one form together; the few that differ from most of it by name."""
    layout = layout_of(decision.evidence.tensors)
    kinds: dict[str, dict[str, list[Choice]]] = {}
    for choice in decision.choices:
        words = words_of(choice.candidate, choice.form, choice.tensor, layout)
        kinds.setdefault(choice.tensor.kind, {}).setdefault(words, []).append(choice)
    entries = []
    for kind, forms in kinds.items():
        size = sum(map(len, forms.values()))
        most = max(map(len, forms.values()))
        for words, alike in sorted(forms.items(), key=lambda one: -len(one[1])):
            if len(alike) > FEW_EXCEPTIONS or (len(alike) == most and most > 1) or size == 1:
                told = f"{len(alike)} of {size}" if len(alike) < size else f"{size}"
                entries.append(_entry(f"{kind}, {told}", words, alike, decision.rule))
                continue
            for one in alike:
                name = f"{kind}: {one.tensor.name}"
                entries.append(_entry(name, words, [one], decision.rule))
    return entries


def each(decision: Decision) -> list[Entry]:
    """One entry a tensor, in the order of the model."""
    layout = layout_of(decision.evidence.tensors)
    return [
        _entry(c.tensor.name, words_of(c.candidate, c.form, c.tensor, layout), [c], decision.rule)
        for c in decision.choices
    ]


def _entry(name: str, words: str, choices: Sequence[Choice], rule: str) -> Entry:
    full = all(choice.form == FULL for choice in choices)
    before = sum(choice.bytes_before for choice in choices)
    after = sum(choice.bytes_after for choice in choices)
    by_error = rule == "update-error"
    numbers = (
        MISSING if full and by_error else _judged(choices, "snr", full),
        MISSING if full and by_error else _judged(choices, "corrected", full),
        number((_most if full else _least)(choice.margin for choice in choices)),
        _erring(choices, full) if by_error or not full else MISSING,
        amount(before) if full else f"{amount(before)} → {amount(after)}",
    )
    return Entry(printable(name), words, numbers, full)


def _judged(choices: Sequence[Choice], field: str, full: bool) -> str:
    """The lowest of what was chosen; of what is kept in full the best there was, in brackets."""
    if not full:
        return number(_least(_measured(choice, field) for choice in choices))
    judged = [choice for choice in choices if not math.isnan(choice.margin)]  # norms never are
    best = _most(_best(choice.tensor, field) for choice in judged)
    return MISSING if math.isnan(best) else f"({number(best)})"


def _erring(choices: Sequence[Choice], full: bool) -> str:
    """The largest error of what was chosen; of what is kept in full the least there was."""
    if not full:
        return number(_most(_measured(choice, "update_error") for choice in choices))
    judged = [choice for choice in choices if not math.isnan(choice.margin)]
    least = _most(_least(c.update_error for c in one.tensor.candidates) for one in judged)
    return MISSING if math.isnan(least) else f"({number(least)})"


def _measured(choice: Choice, field: str) -> float:
    return math.nan if choice.candidate is None else float(getattr(choice.candidate, field))


def _best(tensor: Tensor, field: str) -> float:
    return _most(float(getattr(one, field)) for one in tensor.candidates)


def _least(values: Iterable[float]) -> float:
    return min((value for value in values if not math.isnan(value)), default=math.nan)


def _most(values: Iterable[float]) -> float:
    return max((value for value in values if not math.isnan(value)), default=math.nan)
