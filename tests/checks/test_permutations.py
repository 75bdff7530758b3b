"""Counting all ways to exchange reports: against listing them, and against scipy."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest

from dyntools.checks.permutations import (
    MOST_REPORTS,
    reports_needed,
    smallest_p,
    tail_share,
)


@pytest.mark.parametrize(("total", "chosen"), [(2, 1), (5, 2), (6, 3), (9, 8), (12, 6)])
def test_the_share_is_that_of_all_ways_listed(total: int, chosen: int) -> None:
    """With ties, which count as reached, and with either tail left out."""
    generator = np.random.default_rng(total)
    pooled = generator.integers(-3, 4, size=(total, 6)).astype(np.float64)
    low, high = np.array([-4.0, -2, -np.inf, -1, -3, -np.inf]), np.array([3.0, 2, 1, np.inf, 5, 4])
    found = tail_share(pooled, chosen, low, high)
    for e in range(6):
        sums = [pooled[list(way), e].sum() for way in combinations(range(total), chosen)]
        wanted = np.mean([s <= low[e] or s >= high[e] for s in sums])
        assert found[e] == pytest.approx(wanted, abs=1e-15)


def test_many_reports_are_counted_exactly_too() -> None:
    """15 against 15: 155,117,520 ways; those of a sum of ones follow the hypergeometric law."""
    pooled = np.array([1.0] * 12 + [0.0] * 18)[:, None]
    found = tail_share(pooled, 15, np.array([-np.inf]), np.array([9.0]))
    wanted = sum(comb(12, k) * comb(18, 15 - k) for k in range(9, 13)) / comb(30, 15)
    assert found[0] == pytest.approx(wanted, rel=1e-12)


def test_beyond_that_random_ways_come_near_and_never_give_zero() -> None:
    total = MOST_REPORTS + 10
    pooled = np.array([1.0] * 16 + [0.0] * (total - 16))[:, None]
    low, high = np.array([-np.inf]), np.array([10.0])
    found = tail_share(pooled, 20, low, high, seed=1)
    ways = sum(comb(16, k) * comb(24, 20 - k) for k in range(10, 17))
    assert found[0] == pytest.approx(ways / comb(40, 20), abs=0.01)
    assert tail_share(pooled, 20, low, high, seed=1)[0] == found[0]
    assert tail_share(pooled, 20, low, np.array([17.0]))[0] == 1 / 20001


def test_the_smallest_p() -> None:
    assert smallest_p(3, 3, two_sided=False) == 1 / 20
    assert smallest_p(3, 3, two_sided=True) == 2 / 20
    assert smallest_p(3, 4, two_sided=True) == 1 / 35
    assert smallest_p(40, 40, two_sided=False) == 1 / 20001


@pytest.mark.parametrize(
    ("level", "two_sided", "needed"),
    [(0.05, False, 3), (0.05, True, 4), (0.01, True, 5), (0.001, True, 7), (1e-12, False, 15)],
)
def test_how_many_reports_are_needed(level: float, two_sided: bool, needed: int) -> None:
    assert reports_needed(level, two_sided=two_sided) == needed
