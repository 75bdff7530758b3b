"""Each rule on evidence made by hand: which form, by what margin, and why."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dyntools.adam_memory import Candidate, Evidence, Tensor, decide
from dyntools.adam_memory.rules import RULES, judge
from dyntools.forms import EIGHT_BIT, FACTORED, FULL, Form, in_blocks, mean_over
from tests.adam_memory.hand_made import evidence, tensor, with_errors

INF, NAN = math.inf, math.nan


def form(rule: str, one: Tensor, cutoff: float = 1.0, limit: float | None = None) -> Form:
    candidate = judge(RULES[rule], one, cutoff, limit).candidate
    return FULL if candidate is None else candidate.form


def test_slimadam_takes_the_largest_ratio_not_the_most_memory() -> None:
    one = tensor("w", (4, 8), axes_0=3.0, axes_1=2.0, axes_01=1.5)
    assert form("slimadam", one) == mean_over(0)
    assert form("most-memory", one) == mean_over(0, 1)


def test_the_cutoff_itself_is_not_enough() -> None:
    """The authors keep `snr > cutoff`."""
    assert form("slimadam", tensor("w", (4, 8), axes_0=1.0)) == FULL
    assert form("slimadam", tensor("w", (4, 8), axes_0=np.nextafter(1.0, 2.0))) == mean_over(0)
    assert form("slimadam", tensor("w", (4, 8), axes_0=3.0), cutoff=3.0) == FULL


@pytest.mark.parametrize("rule", RULES)
def test_norms_are_kept_by_every_rule(rule: str) -> None:
    one = Tensor("ln", (8,), "norm", (Candidate(mean_over(0), "axes 0", INF, INF, 0.0),))
    verdict = judge(RULES[rule], one)
    assert verdict.candidate is None
    assert "norm" in verdict.why


def test_a_bias_may_go() -> None:
    assert form("slimadam", tensor("b", (8,), "bias", axes_0=2.0)) == mean_over(0)


def test_an_infinite_ratio_is_above_every_cutoff() -> None:
    one = tensor("w", (4, 8), axes_0=100.0, axes_1=INF)
    verdict = judge(RULES["slimadam"], one, cutoff=1e6)
    assert verdict.candidate is not None
    assert verdict.candidate.form == mean_over(1)
    assert verdict.margin == INF
    assert "∞" in verdict.why


def test_equal_ratios_go_to_the_fewest_bytes_and_equal_bytes_to_the_largest_ratio() -> None:
    both_constant = tensor("w", (4, 8), axes_0=INF, axes_1=INF, axes_01=INF)
    assert form("slimadam", both_constant) == mean_over(0, 1)
    square = tensor("w", (8, 8), axes_0=2.0, axes_1=3.0)
    assert form("most-memory", square) == mean_over(1)
    same = tensor("w", (8, 8), axes_0=2.0, axes_1=2.0)
    assert form("slimadam", same) == form("most-memory", same) == mean_over(0)


def test_what_is_not_a_number_is_no_candidate() -> None:
    one = tensor("w", (4, 8), axes_0=NAN, axes_1=1.5)
    assert form("slimadam", one) == mean_over(1)
    nothing = Tensor("w", (4, 8), "mlp up", (), "its second moment is zero")
    verdict = judge(RULES["slimadam"], nothing)
    assert verdict.candidate is None
    assert math.isnan(verdict.margin)
    assert verdict.why == "its second moment is zero"


def test_the_margin_of_what_failed_is_below_one() -> None:
    verdict = judge(RULES["slimadam"], tensor("w", (4, 8), axes_0=0.3, axes_1=0.8), cutoff=2.0)
    assert verdict.candidate is None
    assert verdict.margin == pytest.approx(0.4)
    assert "0.8" in verdict.why
    assert "axes 1" in verdict.why


def test_corrected_reads_the_other_column() -> None:
    candidates = (
        Candidate(mean_over(0), "axes 0", snr=0.9, corrected=1.1),
        Candidate(mean_over(1), "axes 1", snr=0.8, corrected=1.4),
        Candidate(mean_over(0, 1), "axes 0,1", snr=2.0, corrected=NAN),
    )
    one = Tensor("w", (4, 8), "mlp up", candidates)
    assert form("slimadam", one) == mean_over(0, 1)
    assert form("corrected", one) == mean_over(1)
    assert "corrected SNR 1.4" in judge(RULES["corrected"], one).why


def test_update_error_takes_the_fewest_bytes_within_the_limit() -> None:
    errors = {"axes 0": 0.3, "axes 1": 0.09, "factored": 0.02, "adam-mini": 0.08, "8-bit": 0.001}
    one = with_errors("w", (64, 128), errors)
    assert form("update-error", one) == in_blocks(64)  # as few as axes 1, and less wrong
    assert form("update-error", one, limit=0.05) == FACTORED
    assert form("update-error", one, limit=0.01) == EIGHT_BIT
    assert form("update-error", one, limit=1e-4) == FULL
    assert form("update-error", one, limit=0.3) == in_blocks(64)  # 64 numbers, axes 0 has 128


def test_the_limit_itself_is_enough_and_its_margin_is_one() -> None:
    verdict = judge(RULES["update-error"], with_errors("w", (4, 8), {"axes 1": 0.1}), 1.0, 0.1)
    assert verdict.candidate is not None
    assert verdict.margin == 1.0
    exact = judge(RULES["update-error"], with_errors("w", (4, 8), {"axes 1": 0.0}), 1.0, 0.1)
    assert exact.margin == INF


def test_a_form_that_saves_nothing_is_not_chosen() -> None:
    """Factors of a thin matrix are as many as its weights."""
    thin = with_errors("w", (2, 2), {"factored": 0.01})
    assert FACTORED.values(thin.shape) == thin.size
    assert form("update-error", thin) == FULL


def test_a_limit_on_the_update_filters_the_other_rules() -> None:
    candidates = (
        Candidate(mean_over(0), "axes 0", snr=5.0, update_error=0.4),
        Candidate(mean_over(1), "axes 1", snr=2.0, update_error=0.05),
        Candidate(mean_over(0, 1), "axes 0,1", snr=3.0),
    )
    one = Tensor("w", (4, 8), "mlp up", candidates)
    assert form("slimadam", one) == mean_over(0)
    assert form("slimadam", one, limit=0.1) == mean_over(1)
    verdict = judge(RULES["slimadam"], one, 1.0, 0.01)
    assert verdict.candidate is None
    assert "0.4" in verdict.why
    assert verdict.margin == pytest.approx(0.01 / 0.4)
    assert "not measured" in judge(RULES["most-memory"], one, 2.5, 0.01).why


def random_evidence(seed: int) -> Evidence:
    generator = np.random.default_rng(seed)
    found = []
    for i in range(8):
        shape = tuple(int(n) for n in generator.integers(1, 40, size=2))
        candidates = []
        for axes in ((0,), (1,), (0, 1)):
            snr, gain, error = generator.lognormal(0, 1.2, size=3)
            snr = NAN if generator.random() < 0.1 else snr
            one = mean_over(*axes)
            candidates.append(Candidate(one, one.label, snr, snr * (1 + gain), error / 5))
        candidates.append(Candidate(FACTORED, "factored", update_error=error / 9))
        found.append(Tensor(f"{i}", shape, "mlp up", tuple(candidates)))
    return evidence(*found)


@pytest.mark.parametrize("seed", range(30))
def test_orders_between_rules_cutoffs_and_limits(seed: int) -> None:
    """What holds whatever was measured."""
    found = random_evidence(seed)
    for cutoff in (0.3, 1.0, 3.0):
        slim, most = (decide(found, rule, cutoff) for rule in ("slimadam", "most-memory"))
        assert most.entries.after <= slim.entries.after
        assert len(most.compressed) == len(slim.compressed)
        corrected = decide(found, "corrected", cutoff)
        assert len(corrected.compressed) >= len(slim.compressed)
        limited = decide(found, "most-memory", cutoff, max_update_error=0.2)
        assert limited.entries.after >= most.entries.after
    for rule in ("slimadam", "most-memory", "corrected"):
        saved = [decide(found, rule, cutoff).saved for cutoff in (0.1, 0.5, 1, 2, 5, 50)]
        assert saved == sorted(saved, reverse=True)
    bytes_kept = [
        decide(found, "update-error", max_update_error=limit).second_moment.after
        for limit in (0.01, 0.05, 0.1, 0.5, 2.0)
    ]
    assert bytes_kept == sorted(bytes_kept, reverse=True)
