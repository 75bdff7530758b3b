"""Reductions over steps and their errors: closed forms, and what no perturbation may exceed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from dyntools.checks.limit import REDUCTIONS
from dyntools.checks.reduction import Reduced, reduced

STEPS = np.array([0.0, 10.0, 30.0, 100.0, 110.0])
VALUES = np.array([[3.0, 1.0], [5.0, 2.0], [4.0, np.nan], [1.0, 8.0], [2.0, 4.0]])
ERROR = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 9.0], [0.7, 0.8], [0.9, 1.0]])
PLAIN: Mapping[str, Callable[[NDArray[np.float64]], float]] = {
    "last": lambda y: float(y[-1]),
    "first": lambda y: float(y[0]),
    "max": np.max,
    "min": np.min,
    "mean": np.mean,
    "median": np.median,
}
# How far one of S = 5 and 4 normal errors is exceeded as rarely as a single one at the level 0.05.
Z5, Z4 = (float(norm.isf(0.05 / count) / norm.isf(0.05)) for count in (5, 4))


def of(name: str, values: NDArray[np.float64], *, bound: bool = False) -> Reduced:
    return reduced(name, STEPS, values, np.isfinite(values), ERROR, bound)


@pytest.mark.parametrize("name", PLAIN)
def test_values_are_those_of_the_steps_that_have_one(name: str) -> None:
    there = np.isfinite(VALUES)
    wanted = [PLAIN[name](VALUES[there[:, e], e]) for e in range(2)]
    for bound in (False, True):
        np.testing.assert_allclose(of(name, VALUES, bound=bound).values, wanted, rtol=1e-14)


def test_slope_is_the_least_squares_line() -> None:
    there = np.isfinite(VALUES)
    wanted = [np.polyfit(STEPS[there[:, e]], VALUES[there[:, e], e], 1)[0] for e in range(2)]
    np.testing.assert_allclose(of("slope", VALUES).values, wanted, rtol=1e-12)


@pytest.mark.parametrize("name", REDUCTIONS)
def test_no_perturbation_within_the_bounds_moves_the_number_by_more_than_its_bound(
    name: str,
) -> None:
    """And some comes near it: the bound is not just large."""
    found = of(name, VALUES, bound=True)
    generator = np.random.default_rng(0)
    moved = []
    for _ in range(1500):
        noise = ERROR * generator.choice([-1.0, 0.0, 1.0], size=VALUES.shape)
        moved.append(of(name, VALUES + noise, bound=True).values - found.values)
    largest = np.abs(moved).max(axis=0)
    assert (largest <= found.bounds * (1 + 1e-12)).all()
    assert (largest >= found.bounds * 0.99).all()
    assert (found.standard_errors == 0).all()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("last", [0.9, 1.0]),
        ("first", [0.1, 0.2]),
        # z(0.05 / S) / z(0.05) times the error of the step taken, of S = 5 and 4; see below
        ("max", [0.3 * Z5, 0.8 * Z4]),
        ("min", [0.7 * Z5, 0.2 * Z4]),
        ("mean", [0.5, 0.6]),  # one set of random vectors serves every step: they do not average
        ("median", [0.1, (0.4 + 1.0) / 2]),
    ],
)
def test_standard_errors(name: str, wanted: list[float]) -> None:
    found = of(name, VALUES)
    np.testing.assert_allclose(found.standard_errors, wanted, rtol=1e-12)
    assert (found.bounds == 0).all()


def test_standard_error_of_a_slope_is_the_largest_over_all_correlations() -> None:
    """One random vector serves every step: the worst is one error whose sign follows the line."""
    there = np.isfinite(VALUES)
    found = reduced("slope", STEPS, VALUES, there, ERROR, bound=False)
    generator = np.random.default_rng(0)
    for e in range(2):
        x, s = STEPS[there[:, e]], ERROR[there[:, e], e]
        weights = (x - x.mean()) / np.sum((x - x.mean()) ** 2)
        worst = np.sign(x - x.mean()) * s
        assert found.standard_errors[e] == pytest.approx(abs(weights @ worst), rel=1e-12)
        for _ in range(20):
            factor = generator.normal(size=(len(x), 2))
            factor /= np.linalg.norm(factor, axis=1)[:, None]  # some correlation
            covariance = (factor @ factor.T) * np.outer(s, s)
            assert weights @ covariance @ weights <= found.standard_errors[e] ** 2


def test_the_largest_of_many_estimates_fails_no_more_often_than_the_level() -> None:
    """The truth is the limit, at each of 100 steps: the largest estimate lies 2.5 errors above."""
    generator = np.random.default_rng(0)
    steps, error = np.arange(100.0), np.ones((100, 2000))
    values = generator.normal(size=error.shape)
    high = reduced("max", steps, values, error > 0, error, bound=False)
    low = reduced("min", steps, values, error > 0, error, bound=False)
    for excess in (high.values / high.standard_errors, -low.values / low.standard_errors):
        assert 0.03 < np.mean(excess > norm.isf(0.05)) <= 0.065
        assert np.mean(excess > norm.isf(0.001)) <= 0.006


def test_the_error_bar_of_an_extreme_holds_those_of_all_steps() -> None:
    values, error = np.array([[30.0], [35.0]]), np.array([[20.0], [0.1]])
    found = reduced("max", STEPS[:2], values, error > 0, error, bound=False)
    z = norm.isf(0.05)
    assert found.values[0] + z * found.standard_errors[0] == pytest.approx(30 + 20 * z, rel=1e-12)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("bound", [False, True])
def test_nothing_usable_is_nan(name: str, bound: bool) -> None:
    nothing = np.full((5, 1), np.nan)
    error = np.full((5, 1), np.nan)
    found = reduced(name, STEPS, nothing, np.zeros((5, 1), bool), error, bound)
    assert np.isnan(found.values).all()
    empty = reduced(name, STEPS[:0], nothing[:0], np.zeros((0, 1), bool), error[:0], bound)
    assert np.isnan(empty.values).all()


def test_one_step_has_no_slope() -> None:
    one = np.array([[1.0], [np.nan], [np.nan], [np.nan], [np.nan]])
    assert np.isnan(reduced("slope", STEPS, one, np.isfinite(one), one * 0, bound=True).values)
