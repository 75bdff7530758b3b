"""Decision: in which form the second moment of every tensor is kept, and what that saves.

    saved = 1 - numbers kept / numbers of v

Bytes are those of a v in float32. Training memory is counted at 16 bytes a weight, which is mixed
precision (2 weights, 2 gradients, 4 master weights, 4 m, 4 v) and also plain float32 (4 each of
weights, gradients, m, v); activations come on top and are not touched.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from dyntools.adam_memory.evidence import MEASURE, Evidence
from dyntools.adam_memory.reading import COMPRESSION
from dyntools.adam_memory.rules import CUTOFF, MAX_UPDATE_ERROR, RULES, judge
from dyntools.adam_memory.tensor import Candidate, Tensor
from dyntools.errors import UsageError, nearest
from dyntools.forms import EIGHT_BIT, FLOAT32, FULL, Form

TRAINING_BYTES = 16  # a weight, see above
ASSUMED = (
    "training memory: 16 bytes a weight, either mixed precision (2 weights, 2 gradients, 4 master "
    "weights, 4 m, 4 v) or float32 (4 each of weights, gradients, m, v), without activations"
)


@dataclass(frozen=True)
class Choice:
    """The form of one tensor.

    candidate: what was measured of it, None where v is kept in full.
    margin: SNR over cutoff (of the rule update-error, limit over error) of the chosen form, or of
        the best that failed; NaN where nothing was measured.
    """

    tensor: Tensor
    form: Form
    candidate: Candidate | None
    margin: float
    why: str

    @property
    def bytes_before(self) -> int:
        """Of v in full."""
        return FULL.bytes(self.tensor.shape)

    @property
    def bytes_after(self) -> int:
        """Of v in the chosen form."""
        return self.form.bytes(self.tensor.shape)

    @property
    def entries_after(self) -> int:
        """Numbers kept; of 8-bit, codes."""
        return self.form.values(self.tensor.shape)


@dataclass(frozen=True)
class Total:
    """Bytes before and after."""

    before: int
    after: int

    @property
    def saved(self) -> float:
        """Share saved, 0 of nothing."""
        return 1 - self.after / self.before if self.before else 0.0


@dataclass(frozen=True)
class Decision:
    """All choices, in the order of the model, and by which rule they were made."""

    choices: tuple[Choice, ...]
    rule: str
    cutoff: float
    max_update_error: float | None
    evidence: Evidence

    @property
    def forms(self) -> dict[str, Form]:
        """Name → form, of every tensor."""
        return {choice.tensor.name: choice.form for choice in self.choices}

    @property
    def entries(self) -> Total:
        """Numbers of v; 8-bit saves bytes but no entries."""
        kept = sum(choice.entries_after for choice in self.choices)
        return Total(self.evidence.size, kept)

    @property
    def saved(self) -> float:
        """Share of the entries of v that go."""
        return self.entries.saved

    @property
    def second_moment(self) -> Total:
        """Bytes of v."""
        before = sum(choice.bytes_before for choice in self.choices)
        return Total(before, sum(choice.bytes_after for choice in self.choices))

    @property
    def optimizer_state(self) -> Total:
        """Bytes of m and v."""
        return _beside(self.second_moment, FLOAT32 * self.evidence.size)

    @property
    def training(self) -> Total:
        """Bytes of weights, gradients and state, as `ASSUMED`."""
        others = (TRAINING_BYTES - FLOAT32) * self.evidence.size
        return _beside(self.second_moment, others)

    @property
    def compressed(self) -> tuple[Choice, ...]:
        """The choices that are not to keep v in full."""
        return tuple(choice for choice in self.choices if choice.form != FULL)

    @property
    def needs_library(self) -> bool:
        """Whether a tensor is to be kept in 8 bit, which `dyntools.optim` does not run."""
        return EIGHT_BIT in self.forms.values()


def decide(
    evidence: Evidence,
    rule: str = "slimadam",
    cutoff: float = CUTOFF,
    max_update_error: float | None = None,
) -> Decision:
    """Apply a rule to every tensor.

    cutoff: of the SNR; 1.0 is the authors' --snr_cutoff. max_update_error: a further condition on
    every form; the rule update-error has no other, and 0.1 without it (chosen, no source).
    Raises UsageError for an unknown rule, a cutoff or limit that is not positive, or a rule that
    needs what was not measured.
    """
    if rule not in RULES:
        raise UsageError(f"There is no rule {rule!r}.", remedy=nearest(rule, RULES))
    _check_positive("cutoff", cutoff)
    if max_update_error is not None:
        _check_positive("largest error of the update", max_update_error)
    elif rule == "update-error":
        max_update_error = MAX_UPDATE_ERROR
    _check_measured(evidence, rule, max_update_error)
    choices = []
    for tensor in evidence.tensors:
        verdict = judge(RULES[rule], tensor, cutoff, max_update_error)
        form = FULL if verdict.candidate is None else verdict.candidate.form
        choices.append(Choice(tensor, form, verdict.candidate, verdict.margin, verdict.why))
    return Decision(tuple(choices), rule, cutoff, max_update_error, evidence)


def as_dict(decision: Decision) -> dict[str, object]:
    """Strict JSON: what is not a finite number is null; an infinite SNR is marked `constant`."""
    totals = ("entries", "second_moment", "optimizer_state", "training")
    return {
        "rule": decision.rule,
        "cutoff": finite(decision.cutoff),
        "max_update_error": finite(decision.max_update_error),
        "source": decision.evidence.source,
        "steps": list(decision.evidence.steps),
        "step_unit": decision.evidence.step_unit,
        "n_eff": finite(decision.evidence.n_eff),
        "ceiling": finite(decision.evidence.ceiling),
        "saved": decision.saved,
        "totals": {name: _total(getattr(decision, name)) for name in totals},
        "assumed": ASSUMED,
        "left_out": dict(decision.evidence.left_out),
        "tensors": [_choice(choice) for choice in decision.choices],
    }


def _choice(choice: Choice) -> dict[str, object]:
    tensor = choice.tensor
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "kind": tensor.kind,
        "form": choice.form.label,
        "margin": finite(choice.margin),
        "why": choice.why,
        "bytes_before": choice.bytes_before,
        "bytes_after": choice.bytes_after,
        "chosen": None if choice.candidate is None else choice.candidate.label,
        "candidates": [_candidate(one, tensor) for one in tensor.candidates],
    }


def _candidate(one: Candidate, tensor: Tensor) -> dict[str, object]:
    numbers = ("snr", "corrected", "update_error", "cosine", "v_error")
    return {
        "label": one.label,
        "form": one.form.label,
        "bytes": one.form.bytes(tensor.shape),
        "constant": math.isinf(one.snr),
        **{name: finite(getattr(one, name)) for name in numbers},
    }


def _total(total: Total) -> dict[str, float]:
    return {"before": total.before, "after": total.after, "saved": total.saved}


def finite(value: float | None) -> float | None:
    """What JSON has a number for; else null."""
    return value if value is not None and math.isfinite(value) else None


def _beside(total: Total, others: int) -> Total:
    return Total(total.before + others, total.after + others)


def _check_positive(what: str, value: float) -> None:
    if not value > 0:
        raise UsageError(f"The {what} must be above 0.", found=f"{value}")


def _check_measured(evidence: Evidence, rule: str, limit: float | None) -> None:
    """That some tensor has what the rule, and the limit, are about."""

    def lacks(number: Callable[[Candidate], float]) -> bool:
        return all(math.isnan(number(c)) for t in evidence.tensors for c in t.candidates)

    if lacks(RULES[rule].score):
        raise UsageError(
            f"The rule {rule} needs what was not measured: {RULES[rule].needs}.",
            where=evidence.source,
            remedy=MEASURE,
        )
    if limit is not None and lacks(lambda one: one.update_error):
        raise UsageError(
            f"A limit on the error of the update needs what was not measured: {COMPRESSION}.",
            where=evidence.source,
            remedy=MEASURE,
        )
