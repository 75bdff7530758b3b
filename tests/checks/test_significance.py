"""The tests of one check: against scipy.stats, closed forms, and the tables of the papers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from dyntools.checks.significance import (
    cliffs_delta,
    holm,
    of_error_bars,
    of_prediction,
    of_seeds,
)

EITHER, RISE, FALL = (np.array([side], dtype=np.int8) for side in (0, 1, -1))


def one(number: float) -> np.ndarray:
    return np.array([number])


@pytest.mark.parametrize("change", [-1.7, 0.4, 3.0])
@pytest.mark.parametrize("tolerance", [0.0, 0.5])
def test_error_bars_are_a_normal_test_of_a_change_beyond_the_tolerance(
    change: float, tolerance: float
) -> None:
    law = stats.norm(scale=0.6)
    found = of_error_bars(one(change), one(tolerance), one(0.6), EITHER)
    edge = np.sign(change) * tolerance
    wanted = law.sf(abs(change) - abs(edge)) + law.cdf(-abs(change) - abs(edge))
    assert found.p[0] == pytest.approx(wanted, rel=1e-6)
    rise = of_error_bars(one(change), one(tolerance), one(0.6), RISE)
    assert rise.p[0] == pytest.approx(law.sf(change - tolerance), rel=1e-6)
    fall = of_error_bars(one(change), one(tolerance), one(0.6), FALL)
    assert fall.p[0] == pytest.approx(law.cdf(change + tolerance), rel=1e-6)


def test_without_scatter_the_comparison_decides() -> None:
    for size, p in ((1.0, 0.0), (0.5, 1.0), (0.4, 1.0)):
        assert of_error_bars(one(size), one(0.5), one(0.0), EITHER).p[0] == p
        assert of_error_bars(one(-size), one(0.5), one(0.0), FALL).p[0] == p
        assert of_error_bars(one(-size), one(0.5), one(0.0), RISE).p[0] == 1.0


def test_quantiles() -> None:
    normal = of_error_bars(one(1.0), one(0.0), one(1.0), EITHER)
    assert normal.quantile(one(0.025))[0] == pytest.approx(1.959964, abs=1e-5)
    samples = np.array([[1.0], [2.0], [4.0]])
    student = of_prediction(one(1.0), one(0.0), samples, 1, EITHER)
    assert student.quantile(one(0.025))[0] == pytest.approx(stats.t(2).ppf(0.975), rel=1e-9)


def test_one_against_several_is_a_prediction() -> None:
    """Student's t of two samples of which one has a single member, and no scatter of its own."""
    seeds, new = np.array([3.0, 4.0, 4.5, 6.0]), 9.0
    change = one(new - seeds.mean())
    found = of_prediction(change, one(0.0), seeds[:, None], 1, EITHER)
    wanted = stats.ttest_ind([new], seeds)  # pools the scatter of both, which is that of the seeds
    assert found.p[0] == pytest.approx(wanted.pvalue, rel=1e-9)
    bound = of_prediction(one(seeds.mean() - 2.0), one(0.0), seeds[:, None], 0, RISE)
    single = stats.ttest_1samp(seeds, 2.0, alternative="greater")
    assert bound.p[0] == pytest.approx(single.pvalue, rel=1e-9)


def test_seeds_that_all_agree_leave_one_other_its_rank() -> None:
    """Four equal numbers prove no law; a fifth that differs has one chance in five by its place."""
    equal = np.full((4, 1), 2.0)
    assert of_prediction(one(1.0), one(0.1), equal, 1, EITHER).p[0] == 1 / 5
    assert of_prediction(one(1.0), one(0.1), equal, 0, EITHER).p[0] == 0.0


@pytest.mark.parametrize(("n", "m"), [(4, 4), (3, 6), (6, 5)])
@pytest.mark.parametrize(("sides", "alternative"), [(EITHER, "two-sided"), (RISE, "greater")])
def test_seeds_are_a_permutation_test(n: int, m: int, sides: np.ndarray, alternative: str) -> None:
    """At tolerance zero that of scipy, which for two sides doubles the smaller tail."""
    generator = np.random.default_rng(n)
    before, now = generator.normal(size=(n, 1)), generator.normal(size=(m, 1)) + 1.0

    def difference(x: np.ndarray, y: np.ndarray) -> float:
        return float(y.mean() - x.mean())

    if alternative == "two-sided":
        reference = stats.permutation_test(
            (before[:, 0], now[:, 0]),
            lambda x, y: abs(difference(x, y)),
            vectorized=False,
            n_resamples=10**6,
            alternative="greater",
        )
    else:
        reference = stats.permutation_test(
            (before[:, 0], now[:, 0]),
            difference,
            vectorized=False,
            n_resamples=10**6,
            alternative="greater",
        )
    found = of_seeds(before, now, one(0.0), sides)
    assert found.p[0] == pytest.approx(reference.pvalue, abs=1e-12)


def test_a_tolerance_moves_the_samples_before_they_are_exchanged() -> None:
    before = np.array([[1.0], [2.0], [3.0], [4.0]])
    now = before + 10.5
    inside = of_seeds(before, now, one(10.5), EITHER)
    assert inside.p[0] == 1.0  # nothing beyond the tolerance
    beyond = of_seeds(before, now, one(5.0), EITHER)
    assert beyond.p[0] == 1 / 70  # all of now above all of before, after the 5 are taken off
    assert of_seeds(before, now, one(0.0), EITHER).p[0] == 2 / 70
    mirrored = of_seeds(-before, -now, one(5.0), EITHER)
    assert mirrored.p[0] == 1 / 70
    assert of_seeds(before, now, one(5.0), FALL).p[0] == 1.0


def test_a_tolerance_below_the_scatter_is_crossed_at_either_edge() -> None:
    """3 against 3, all now above: with the mirror image 2 of 20, not 1, unless 2 t > the range."""
    before = np.array([[0.0], [1.0], [2.0]])
    now = before + 30
    for tolerance, ways in ((0.0, 2), (1e-9, 2), (0.1, 2), (1.0, 2), (1.01, 1), (20.0, 1)):
        assert of_seeds(before, now, one(tolerance), EITHER).p[0] == ways / 20
        assert of_seeds(now, before, one(tolerance), EITHER).p[0] == ways / 20
        assert of_seeds(before, now, one(tolerance), RISE).p[0] == 1 / 20


@pytest.mark.parametrize("n", [3, 4, 5])
def test_a_small_tolerance_keeps_the_level(n: int) -> None:
    """Unchanged normal seeds, 4,000 checks: half as many ways would fail twice as often."""
    before, now = np.random.default_rng(n).normal(size=(2, n, 4000))
    either = np.zeros(4000, dtype=np.int8)
    p = of_seeds(before, now, np.full(4000, 0.1), either).p
    for level in (0.05, 0.1):
        assert np.mean(p <= level) <= level + 4 * np.sqrt(level / 4000)


def test_the_interval_is_welchs() -> None:
    generator = np.random.default_rng(0)
    before, now = generator.normal(size=(5, 1)), 3 * generator.normal(size=(8, 1))
    found = of_seeds(before, now, one(0.0), EITHER)
    wanted = stats.ttest_ind(now[:, 0], before[:, 0], equal_var=False).confidence_interval(0.95)
    half = found.quantile(one(0.025))[0] * found.scatter[0]
    assert half == pytest.approx((wanted.high - wanted.low) / 2, rel=1e-9)


def test_seeds_without_scatter() -> None:
    same = np.ones((4, 1))
    found = of_seeds(same, same + 1, one(0.5), EITHER)
    assert found.p[0] == 1 / 70
    assert found.scatter[0] == 0.0


def test_cliffs_delta() -> None:
    before = np.array([[1.0], [2.0], [3.0]])
    assert cliffs_delta(before, before + 10)[0] == 1.0
    assert cliffs_delta(before, before - 10)[0] == -1.0
    assert cliffs_delta(before, before)[0] == 0.0
    assert cliffs_delta(before, np.array([[2.5]]))[0] == pytest.approx(1 / 3)


def test_holm_on_the_numbers_of_a_textbook() -> None:
    """Sorted p times how many are left, never falling; what is not in the family stays."""
    p = np.array([0.01, 0.04, 0.03, 0.005, 0.0, 0.9])
    family = np.array([True, True, True, True, False, False])
    np.testing.assert_allclose(holm(p, family), [0.03, 0.06, 0.06, 0.02, 0.0, 0.9])
    np.testing.assert_allclose(holm(np.array([0.6, 0.7]), np.array([True, True])), [1.0, 1.0])
