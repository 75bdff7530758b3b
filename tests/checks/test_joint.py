"""One p over all checks by exchanging whole reports: against listing all ways with scipy's t."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from dyntools.checks.joint import MOST_WAYS, of_max, reports_needed, smallest_p


def listed(
    before: np.ndarray, now: np.ndarray, tolerance: np.ndarray, sides: np.ndarray
) -> np.ndarray:
    """The same by its definition: every way, every check, one t of scipy each."""
    n, total = len(before), len(before) + len(now)
    rise = now.mean(axis=0) >= before.mean(axis=0)
    edge = np.where(sides == 0, np.where(rise, 1.0, -1.0), sides)
    pooled = np.concatenate([before, now - edge * tolerance])
    wide = 2 * tolerance > np.maximum(np.ptp(before, axis=0), np.ptp(now, axis=0))
    opposite = np.where(wide, tolerance, -tolerance)  # a small one: the mirror image counts as much

    def statistics(chosen: tuple[int, ...]) -> np.ndarray:
        rest = [i for i in range(total) if i not in chosen]
        test = stats.ttest_ind(pooled[list(chosen)], pooled[rest])
        change = pooled[list(chosen)].mean(axis=0) - pooled[rest].mean(axis=0)
        scatter = change / test.statistic
        change = change * edge
        far = -change - tolerance - opposite
        return np.asarray(np.where(sides == 0, np.maximum(change, far), change) / scatter)

    observed = statistics(tuple(range(n, total)))
    largest = [statistics(way).max() for way in combinations(range(total), total - n)]
    return np.array([np.mean(np.array(largest) >= t * (1 - 1e-9 * np.sign(t))) for t in observed])


@pytest.mark.parametrize(("n", "m"), [(3, 3), (4, 3)])
def test_it_is_the_share_of_ways_whose_largest_t_reaches_the_observed_one(n: int, m: int) -> None:
    generator = np.random.default_rng(n)
    before = generator.normal(size=(n, 6))
    now = generator.normal(size=(m, 6)) + np.array([0, 4, -4, 1, -1, 9])
    tolerance = np.array([0.0, 0.0, 0.5, 0.5, 2.0, 2.0])
    sides = np.array([0, 1, 0, -1, 0, 1], dtype=np.int8)
    wanted = listed(before, now, tolerance, sides)
    np.testing.assert_allclose(of_max(before, now, tolerance, sides), wanted, atol=1e-12)


def test_a_gross_change_is_seen_among_any_number_of_checks() -> None:
    """5 against 5 over 1,000 checks: Holm's smallest adjusted p would be 7.9."""
    generator = np.random.default_rng(0)
    before, now = generator.normal(size=(2, 5, 1000))
    now[:, 0] += 100
    p = of_max(before, now, np.zeros(1000), np.zeros(1000, dtype=np.int8))
    assert p[0] == smallest_p(5, 5) == 2 / 252
    assert p[1:].min() > 0.05


def test_random_ways_hold_the_observed_one() -> None:
    generator = np.random.default_rng(0)
    before, now = generator.normal(size=(2, 10, 4))
    now[:, 0] += 100
    nothing, either = np.zeros(4), np.zeros(4, dtype=np.int8)
    p = of_max(before, now, nothing, either, seed=3)
    assert 1 / 2001 <= p[0] <= smallest_p(10, 10)
    assert (p == of_max(before, now, nothing, either, seed=3)).all()


def test_no_scatter_at_all() -> None:
    before = np.zeros((4, 2))
    now = before + np.array([0.0, 1.0])
    p = of_max(before, now, np.full(2, 0.5), np.zeros(2, dtype=np.int8))
    assert p[0] == 1.0
    assert p[1] <= smallest_p(4, 4)


def test_how_many_reports_are_needed() -> None:
    assert reports_needed(0.05) == 4
    assert reports_needed(0.00099) == 7
    assert smallest_p(8, 8) > 5e-4
    assert reports_needed(5e-4) is None  # random ways beyond 7 against 7 give no smaller p
    assert reports_needed(0.001) == 7
    assert smallest_p(7, 7) == 2 / 3432
    assert MOST_WAYS >= 3432
