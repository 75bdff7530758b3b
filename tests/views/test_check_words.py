"""The words that all outputs of a check share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dyntools.checks.verdict import Check, Verdict
from dyntools.views import check_words
from dyntools.views.check_words import Judged
from tests.outcomes import ABOVE, FAILED, GONE, UNCLEAR, UNLIKE, check, outcome


@pytest.mark.parametrize(
    ("one", "mark"),
    [
        (FAILED, "+"),
        (check(Verdict.fail, change=-3.0), "-"),
        (ABOVE, "+"),
        (check(Verdict.fail, limit="sparsity@min above 1", baseline=None, change=None), "-"),
        (GONE, "!"),
        (check(Verdict.not_comparable, now=None), "!"),
        (UNLIKE, "x"),
        (UNCLEAR, "~"),
        (check(), " "),
    ],
)
def test_marks(one: Check, mark: str) -> None:
    assert check_words.mark(one) == mark


@pytest.mark.parametrize(
    ("limit", "change", "tolerance"),
    [
        ("effective_rank@last within 10%", "+2.50 %", "±10.0 %"),
        ("effective_rank@last not above by 10%", "+2.50 %", "+10.0 %"),
        ("effective_rank@last not below by 10% or 1", "+2.50 %", "-10.0 %"),
        ("effective_rank@last within 2", "+0.500", "±2.00"),
    ],
)
def test_change_and_tolerance_are_told_in_the_same_terms(
    limit: str, change: str, tolerance: str
) -> None:
    one = check(limit=limit)
    assert (check_words.change_text(one), check_words.tolerance_text(one)) == (change, tolerance)


def test_a_bound_is_told_as_one() -> None:
    assert check_words.tolerance_text(ABOVE) == "< 40.0"
    assert check_words.change_text(ABOVE) == "–"


def test_a_baseline_of_zero_has_no_percent() -> None:
    one = check(baseline=0.0, now=0.5, relative_change=None, tolerance=0.0)
    assert (check_words.change_text(one), check_words.tolerance_text(one)) == ("+0.500", "±0")


def test_headline_counts_the_worst_first() -> None:
    assert check_words.headline(outcome()) == (
        "FAIL: 3 of 6 checks failed, 1 not comparable, 1 inconclusive, 1 passed."
        + check_words.OF_ONE_TRAINING
    )
    several = [check(verdict=Verdict.fail, samples=(5, 5))]
    assert check_words.headline(outcome(several)) == "FAIL: 1 check failed."
    assert check_words.headline(outcome([check()])) == "PASS: 1 check passed."
    assert check_words.headline(outcome([])) == "INCONCLUSIVE: nothing was checked."


def test_the_last_line_tells_how_to_accept() -> None:
    command = "dyntools baseline run.h5 -o baseline.json"
    assert check_words.last_line(Judged(outcome(), 1, command)).endswith(
        f"To accept what is there now: {command}"
    )
    assert check_words.last_line(Judged(outcome([ABOVE]), 1)).endswith("change the limit.")
    assert check_words.last_line(Judged(outcome([check()]), 0, command)) == "PASS: 1 check passed."
    assert "exit code is 0 as asked" in check_words.last_line(Judged(outcome(), 0, command))


def test_a_bound_is_too_high_or_too_low() -> None:
    """Nothing need have moved: 0 spikes against `above 20` have not fallen."""
    low = replace(ABOVE, limit="sparsity@max above 40", now=0.0)
    assert [check_words.mark_word(one) for one in (ABOVE, low)] == ["too high", "too low"]
    assert check_words.mark_word(FAILED) == "rose"
    for word in ("rose", "fell", "too high", "too low", "no number"):
        assert word in check_words.LEGEND


def test_the_foot_names_no_correction() -> None:
    """Which of the two it was stands beside each p."""
    assert "Holm" not in " ".join(check_words.foot(outcome()))


def test_the_pass_nearest_to_its_limit() -> None:
    nearness = check_words.nearness
    assert nearness(check(change=-1.9)) > nearness(check(change=1.0))
    above = "effective_rank@last not above by 2"
    assert nearness(check(limit=above, change=0.1)) > nearness(check(limit=above, change=-1.9))
    low = "effective_rank@last above 1"
    assert nearness(check(limit=low, now=1.1, tolerance=1.0)) > nearness(
        check(limit=low, now=5.0, tolerance=1.0)
    )
