"""Effective rank: closed forms, and an error that bounds every perturbation of the values."""

from __future__ import annotations

import numpy as np
import pytest

from dyntools.linalg.effective_rank import effective_rank


def test_equal_values_have_full_rank_and_one_value_has_rank_one() -> None:
    zero = np.zeros(7)
    assert effective_rank(np.full(7, 3.0), zero)[0] == pytest.approx(7.0, rel=1e-14)
    assert effective_rank(np.eye(7)[0], zero) == (1.0, 0.0)
    two_and_dust = np.array([1.0, 1.0, 0.0, 0.0])
    assert effective_rank(two_and_dust, np.zeros(4))[0] == pytest.approx(2.0, rel=1e-14)


def test_geometric_values_in_closed_form() -> None:
    """p_i = (1 - q) qⁱ has the entropy -ln(1 - q) - q ln(q) / (1 - q)."""
    q = 0.7
    values = q ** np.arange(200)
    true = np.exp(-np.log(1 - q) - q * np.log(q) / (1 - q))
    assert effective_rank(values, np.zeros(200))[0] == pytest.approx(true, rel=1e-12)


@pytest.mark.parametrize("size", [1e-14, 1e-8, 1e-3, 0.3])
def test_the_error_bounds_the_effect_of_perturbed_values(size: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = np.sort(10.0 ** rng.uniform(-12, 0, 30))[::-1]
        error = size * rng.random(30)
        perturbed = np.abs(values + error * rng.uniform(-1, 1, 30))
        rank, bound = effective_rank(values, error)
        assert abs(effective_rank(perturbed, error)[0] - rank) <= bound


def test_values_lost_in_their_errors_have_no_certain_rank() -> None:
    assert effective_rank(np.ones(5), np.full(5, 2.0))[1] == 5.0
