"""What a difference is worth, against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from dyntools.comparison.differing import Column, Outcome, decided, differences
from dyntools.measurement import Status


def column(values: object, errors: object = np.nan, *, bound: bool = False) -> Column:
    array = np.atleast_2d(np.asarray(values, dtype=np.float64))
    status = np.where(np.isnan(array), Status.failed, Status.ok).astype(np.int8)
    return Column(array, np.broadcast_to(errors, array.shape).astype(float), status, bound)


def test_bounds_add_and_decide_alone() -> None:
    """|1.0 - 0.7| against bounds of 0.1 + 0.1, then of 0.2 + 0.2."""
    first = column([1.0, 1.0], [0.1, 0.2], bound=True)
    other = column([0.7, 0.7], [0.1, 0.2], bound=True)
    apart, within = decided(differences(first, other, ["", ""]))
    assert apart.outcome is Outcome.differs
    assert within.outcome is Outcome.within
    assert apart.change == pytest.approx(-0.3)
    assert apart.relative == pytest.approx(-0.3)
    assert apart.uncertainty == pytest.approx(0.2)


def test_standard_errors_add_in_quadrature() -> None:
    """z = 1 / 0.5 with errors 0.3 and 0.4: two-sided p of the normal distribution."""
    (one,) = decided(differences(column(2.0, 0.3), column(3.0, 0.4), [""]))
    assert one.uncertainty == pytest.approx(0.5)
    assert one.p == pytest.approx(2 * stats.norm.sf(2.0))
    assert one.outcome is Outcome.differs


def test_seeds_are_permuted() -> None:
    """Four against four without overlap: 2 of C(8, 4) = 70 ways are as extreme."""
    first, other = column([[1.0], [2], [3], [4]]), column([[11.0], [12], [13], [14]])
    (one,) = decided(differences(first, other, [""]))
    assert one.p == pytest.approx(2 / 70)
    assert one.floor == pytest.approx(2 / 70)
    assert one.effect == 1
    assert one.outcome is Outcome.differs


def test_seeds_agree_with_scipy() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=5), generator.normal(0.8, 1, size=6)
    (one,) = differences(column(a[:, None]), column(b[:, None]), [""])
    reference = stats.permutation_test((a, b), lambda x, y, axis: x.mean(axis) - y.mean(axis))
    assert one.p == pytest.approx(
        np.mean(np.abs(reference.null_distribution) >= abs(a.mean() - b.mean()) - 1e-12)
    )


def test_one_against_seeds_is_students_prediction() -> None:
    seeds = np.array([1.0, 2.0, 3.0, 4.0])
    (one,) = differences(column(seeds[:, None]), column(6.0), [""])
    t = (6 - 2.5) / (seeds.std(ddof=1) * math.sqrt(1 + 1 / 4))
    assert one.p == pytest.approx(2 * stats.t.sf(t, 3))


def test_too_few_seeds_for_so_many_tests_is_no_agreement() -> None:
    """p = 2/70 at best, times two tests, is above 0.05: nothing could have shown."""
    first = column([[1.0, 1], [2, 2], [3, 3], [4, 4]])
    other = column([[11.0, 1], [12, 2], [13, 3], [14, 4]])
    found = decided(differences(first, other, ["", ""]))
    assert [one.outcome for one in found] == [Outcome.too_few, Outcome.too_few]
    assert found[0].p_adjusted == pytest.approx(4 / 70)


def test_what_is_not_tested_keeps_its_numbers_and_says_why() -> None:
    first, other = column([1.0, 2.0, 3.0], 0.0), column([2.0, np.nan, 3.0], [0.0, 0.0, np.nan])
    found = decided(differences(first, other, ["Other probes.", "", ""]))
    assert [one.outcome for one in found] == [Outcome.untested] * 3
    assert found[0].change == 1
    assert found[0].why == "Other probes."
    assert "no number" in found[1].why
    assert found[2].why == "No error is known."


def test_a_seed_without_a_number_is_not_passed_over() -> None:
    first, other = column([[1.0], [2.0]]), column([[1.0], [np.nan]])
    (one,) = decided(differences(first, other, [""]))
    assert one.outcome is Outcome.untested
    assert one.why == "Not every seed has a number."
    assert other.numbers()[0].samples == 1


def test_the_mean_of_seeds_has_a_standard_error() -> None:
    (number,) = column([[1.0], [2], [3], [4]]).numbers()
    assert number.value == 2.5
    assert number.error == pytest.approx(np.std([1, 2, 3, 4], ddof=1) / 2)
    assert number.samples == 4


def test_equal_numbers_do_not_differ() -> None:
    (one,) = decided(differences(column(0.0, 0.0, bound=True), column(0.0, 0.0, bound=True), [""]))
    assert one.outcome is Outcome.within
    assert one.relative == 0
