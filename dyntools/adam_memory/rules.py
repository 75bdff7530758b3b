"""Rules: from what was measured of one tensor to the form its second moment is kept in.

    slimadam      of the averaged axes with SNR > cutoff, those with the largest SNR
    most-memory   of the same, those that keep the fewest bytes
    corrected     slimadam's rule on the SNR without the noise of a short average
    update-error  of all forms with |u' - u| / |u| ≤ limit, the one of fewest bytes

The first is what the released code of Kalra et al. 2025, arXiv:2503.01843, does; its docstring says
"maximise compression", which is the second. Norms are kept in full by every rule, as there: their
vectors are a ten-thousandth of the weights. Where no form passes, v is kept in full.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dyntools.adam_memory.reading import COMPRESSION, SNR
from dyntools.adam_memory.tensor import Candidate, Tensor
from dyntools.forms import FULL

CUTOFF = 1.0  # the authors' --snr_cutoff
MAX_UPDATE_ERROR = 0.1  # of the rule update-error where no limit is given; chosen, no source
SLIMADAM = "Kalra et al. 2025, arXiv:2503.01843"


@dataclass(frozen=True)
class Verdict:
    """candidate: None where v is kept in full. margin: how many times over the criterion is met by
    it, or would be by the best that failed; NaN where nothing was measured."""

    candidate: Candidate | None
    margin: float
    why: str


@dataclass(frozen=True)
class Rule:
    """A way to choose among candidates.

    score: what is compared with the cutoff, NaN for a form that the rule does not consider.
    rank: among those that pass, the smallest is chosen; the first among equals. number: what the
        score is called. needs: what must have been measured.
    """

    name: str
    what: str
    source: str
    number: str
    needs: str
    score: Callable[[Candidate], float]
    rank: Callable[[Candidate, Tensor], tuple[float, ...]]


def judge(
    rule: Rule, tensor: Tensor, cutoff: float = CUTOFF, max_update_error: float | None = None
) -> Verdict:
    """What the rule says of one tensor."""
    if tensor.kind == "norm":
        return Verdict(None, math.nan, "a norm is always kept in full")
    if rule is UPDATE_ERROR:
        limit = MAX_UPDATE_ERROR if max_update_error is None else max_update_error
        return _by_error(rule, tensor, limit)
    scored = [one for one in tensor.candidates if not math.isnan(rule.score(one))]
    if not scored:
        return Verdict(None, math.nan, tensor.reason or f"no {rule.number} was measured")
    above = [one for one in scored if rule.score(one) > cutoff]
    if not above:
        best = max(scored, key=rule.score)
        largest = f"{_number(rule.score(best))}, {best.label}"
        why = f"no {rule.number} above the cutoff; the largest is {largest}"
        return Verdict(None, rule.score(best) / cutoff, why)
    passed = [one for one in above if _within(one, max_update_error)]
    if not passed:
        best = min(above, key=lambda one: rule.rank(one, tensor))
        return Verdict(None, _error_margin(best, max_update_error), _too_far(best))
    chosen = min(passed, key=lambda one: rule.rank(one, tensor))
    why = f"{rule.number} {_number(rule.score(chosen))}, {_role(rule, len(passed), len(above))}"
    return Verdict(chosen, rule.score(chosen) / cutoff, why)


def _by_error(rule: Rule, tensor: Tensor, limit: float) -> Verdict:
    scored = [one for one in tensor.candidates if not math.isnan(one.update_error)]
    if not scored:
        return Verdict(None, math.nan, tensor.reason or "no error of the update was measured")
    passed = [one for one in scored if one.update_error <= limit]
    if not passed:
        best = min(scored, key=lambda one: one.update_error)
        error = _number(best.update_error)
        why = f"no form changes the update by less than the limit; {best.label} by {error}"
        return Verdict(None, _error_margin(best, limit), why)
    best = min(passed, key=lambda one: rule.rank(one, tensor))
    if best.form.bytes(tensor.shape) >= FULL.bytes(tensor.shape):
        return Verdict(None, _error_margin(best, limit), "no form within the limit is smaller")
    error = _number(best.update_error)
    why = f"changes the update by {error}, the fewest bytes of {len(passed)} within the limit"
    return Verdict(best, _error_margin(best, limit), why)


def _within(one: Candidate, limit: float | None) -> bool:
    """An error that was not measured is not below a limit."""
    return limit is None or one.update_error <= limit


def _error_margin(one: Candidate, limit: float | None) -> float:
    if limit is None or math.isnan(one.update_error):
        return math.nan
    return limit / one.update_error if one.update_error else math.inf


def _too_far(one: Candidate) -> str:
    if math.isnan(one.update_error):
        return f"SNR above the cutoff ({one.label}), but the error of the update was not measured"
    return (
        f"SNR above the cutoff, but {one.label} changes the update by {_number(one.update_error)}"
    )


def _role(rule: Rule, passed: int, above: int) -> str:
    how = "the fewest bytes" if rule is MOST_MEMORY else "the largest"
    limited = " and within the limit on the update" if passed < above else ""
    which = f"{how} of {passed}" if passed > 1 else "the only one"
    return f"{which} above the cutoff{limited}"


def _number(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:.3g}"


def _bytes(one: Candidate, tensor: Tensor) -> float:
    return float(one.form.bytes(tensor.shape))


RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            "slimadam",
            "the averaged axes with the largest SNR above the cutoff",
            SLIMADAM,
            "SNR",
            SNR,
            lambda one: one.snr,
            lambda one, tensor: (-one.snr, _bytes(one, tensor)),
        ),
        Rule(
            "most-memory",
            "the averaged axes with the fewest bytes, of those with an SNR above the cutoff",
            f"the docstring of the code of {SLIMADAM}",
            "SNR",
            SNR,
            lambda one: one.snr,
            lambda one, tensor: (_bytes(one, tensor), -one.snr),
        ),
        Rule(
            "corrected",
            "the averaged axes with the largest noise-corrected SNR above the cutoff",
            f"dyntools, after {SLIMADAM}",
            "corrected SNR",
            "the corrected SNR, which needs the beta2 and the steps of the optimizer",
            lambda one: one.corrected,
            lambda one, tensor: (-one.corrected, _bytes(one, tensor)),
        ),
        Rule(
            "update-error",
            "of all forms, the fewest bytes with an error of the update within the limit",
            "dyntools",
            "error of the update",
            COMPRESSION,
            lambda one: one.update_error,
            lambda one, tensor: (_bytes(one, tensor), one.update_error),
        ),
    )
}
MOST_MEMORY, UPDATE_ERROR = RULES["most-memory"], RULES["update-error"]
