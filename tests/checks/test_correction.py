"""The p of every case over all cases: what one report, few reports and uneven sides can show."""

from __future__ import annotations

import numpy as np
import pytest

from dyntools.checks.cases import case_of
from dyntools.checks.correction import Found, found
from dyntools.checks.limit import parse
from dyntools.checks.pairing import Pair
from dyntools.checks.quantity import Quantity, Sample

LEVEL = 0.05


def quantity(values: np.ndarray) -> Quantity:
    samples = tuple(Sample(float(value)) for value in values)
    return Quantity("update_snr", "", (), "last", samples, "1", 1, {}, "step")


def results(before: np.ndarray, now: np.ndarray, relation: str) -> list[Found]:
    """One case a column of (n, E) and (m, E)."""
    limit = parse(f"update_snr@last {relation}")
    pairs = [Pair(limit, quantity(b), quantity(n)) for b, n in zip(before.T, now.T, strict=True)]
    return found([case_of(pair) for pair in pairs], LEVEL, 0)


@pytest.mark.parametrize(("others", "fails"), [(5, False), (10, False), (18, False), (19, True)])
def test_one_against_several_needs_its_rank_over_several_checks(others: int, fails: bool) -> None:
    """A change of 1,000 standard deviations in one of eight checks: p is at least 1 / (n + 1)."""
    before = np.random.default_rng(0).normal(size=(others, 8))
    now = before[:1] * 0.1
    now[0, 0] += 1000.0
    several = results(before, now, "within 0")
    assert several[0].adjusted == pytest.approx(1 / (others + 1))
    assert (several[0].adjusted <= LEVEL) is fails
    assert (several[0].least <= LEVEL) is fails
    alone = results(before[:, :1], now[:, :1], "within 0")
    assert alone[0].adjusted < LEVEL  # one check: Student's t alone


def test_a_share_of_the_baseline_makes_uneven_sides_unlike() -> None:
    """At the edge of 100 %, where the baseline scatters twice as much as the 25 new reports."""
    generator = np.random.default_rng(1)
    fails = 0
    for _ in range(300):
        before, now = generator.normal(100, 1, (4, 1)), generator.normal(200, 1, (25, 1))
        fails += results(before, now, "within 100%")[0].adjusted <= LEVEL
    assert fails <= 27  # of 300 at 5 %: exceeded once in 500; by permutation alone about 42


def test_a_small_tolerance_has_the_floor_of_both_tails() -> None:
    before = np.array([[0.0], [1.0], [2.0]])
    now = before + 100
    small, large = (results(before, now, f"within {t}")[0] for t in (0.1, 20))
    assert (small.least, small.adjusted, small.mirrored) == (2 / 20, 2 / 20, True)
    assert (large.least, large.adjusted, large.mirrored) == (1 / 20, 1 / 20, False)
