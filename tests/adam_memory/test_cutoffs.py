"""The decision at neighbouring cutoffs and limits."""

from __future__ import annotations

import pytest

from dyntools.adam_memory import decide
from dyntools.adam_memory.cutoffs import around, by_cutoff, by_limit
from dyntools.errors import UsageError
from tests.adam_memory.hand_made import evidence, tensor, with_errors

FOUR = evidence(*(tensor(f"{snr}", (10, 10), axes_0=snr) for snr in (0.7, 1.5, 3.0, 9.0)))


def test_savings_at_the_four_cutoffs() -> None:
    found = by_cutoff(FOUR)
    assert [one.cutoff for one in found] == [0.5, 1.0, 2.0, 5.0]
    assert [one.saved for one in found] == pytest.approx([0.9, 0.675, 0.45, 0.225])


def test_the_decision_is_among_its_neighbours() -> None:
    assert [one.cutoff for one in around(decide(FOUR, cutoff=1.7))] == [0.5, 1.0, 1.7, 2.0, 5.0]
    assert len(around(decide(FOUR))) == 4


def test_the_rule_without_a_cutoff_has_limits() -> None:
    found = evidence(with_errors("w", (10, 10), {"axes 0": 0.05, "factored": 0.02}))
    assert [one.saved for one in by_limit(found)] == pytest.approx([0, 0.8, 0.9, 0.9])
    decision = decide(found, "update-error", max_update_error=0.07)
    assert [one.max_update_error for one in around(decision)] == [0.01, 0.03, 0.07, 0.1, 0.3]
    with pytest.raises(UsageError, match="no cutoff"):
        by_cutoff(found, "update-error")


def test_a_limit_stays_in_force_at_other_cutoffs() -> None:
    both = evidence(with_errors("w", (10, 10), {"axes 0": 0.5}), *FOUR.tensors)
    decision = decide(both, cutoff=0.6, max_update_error=0.1)
    assert all(one.max_update_error == 0.1 for one in around(decision))
    assert all(one.saved == 0 for one in around(decision))
