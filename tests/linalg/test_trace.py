from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from dyntools.linalg.operator import Operator
from dyntools.linalg.trace import Estimate, exact, hutch_plus_plus, hutchinson, xtrace
from tests.quadratics import quadratic

RNG = np.random.default_rng(0)
FLAT = RNG.uniform(-1, 3, 120)
DECAYING = np.arange(1.0, 301.0) ** -2.0
LOW_RANK = np.concatenate([[5.0, 3.0, -2.0, 1.0], np.zeros(196)])
METHODS = [hutchinson, hutch_plus_plus, xtrace]
Method = Callable[[Operator, int, int], Estimate]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spectrum", [FLAT, DECAYING], ids=["flat", "decaying"])
def test_unbiased_with_an_honest_standard_error(method: Method, spectrum: np.ndarray) -> None:
    """Over 120 seeds: the mean is the trace, and one standard error covers 50 to 90 %."""
    counted = quadratic(spectrum)
    truth, found = spectrum.sum(), []
    for seed in range(120):
        counted.products = 0
        found.append(method(counted.operator, 24, seed))
        assert found[-1].products == counted.products <= 24
    values = np.array([one.value for one in found])
    errors = np.array([one.standard_error for one in found])
    assert abs(values.mean() - truth) < 4 * values.std() / np.sqrt(len(values))
    assert 0.5 < np.mean(np.abs(values - truth) <= errors) < 0.9
    assert 0.6 < np.sqrt(np.mean(errors**2)) / values.std() < 1.6


def test_a_decaying_spectrum_needs_far_fewer_products() -> None:
    operator = quadratic(DECAYING).operator
    spread = [np.std([m(operator, 30, seed).value for seed in range(40)]) for m in METHODS]
    assert spread[1] < 0.2 * spread[0]
    assert spread[2] < 0.7 * spread[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("method", [hutch_plus_plus, xtrace])
def test_low_rank_is_exact(method: Method, dtype: torch.dtype) -> None:
    """Columns without anything new are rounding, and must not enter Q."""
    counted = quadratic(LOW_RANK, dtype)
    found = method(counted.operator, 40, 0)
    assert abs(found.value - 7) < 200 * torch.finfo(dtype).eps
    assert abs(found.value - 7) <= 3 * found.standard_error
    assert found.products == counted.products < 40


@pytest.mark.parametrize("method", METHODS)
def test_tiny_zero_and_broken_operators(method: Method) -> None:
    one = method(quadratic([2.0]).operator, 6, 0)
    assert abs(one.value - 2) < 1e-12
    zero = method(quadratic(np.zeros(30)).operator, 6, 0)
    assert zero.value == 0
    assert zero.standard_error == 0
    broken = Operator(lambda v: torch.full_like(v, torch.nan), 30)
    assert np.isnan(method(broken, 6, 0).value)


def test_one_sample_has_no_standard_error() -> None:
    assert np.isnan(hutchinson(quadratic(FLAT).operator, 1, 0).standard_error)


def test_exact_is_the_trace() -> None:
    matrix = np.random.default_rng(0).standard_normal((30, 30))
    matrix = torch.from_numpy(matrix + matrix.T)
    found = exact(Operator(lambda v: matrix @ v, 30, torch.float64))
    assert found.value == pytest.approx(float(matrix.trace()), rel=1e-12)
    assert (found.standard_error, found.products) == (0.0, 30)
