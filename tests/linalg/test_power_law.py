"""The exponent of a power law: recovered from samples, on any scale, within its standard error."""

from __future__ import annotations

import numpy as np
import pytest

from dyntools.linalg.power_law import PowerLaw, fit_power_law


def pareto(alpha: float, size: int, seed: int) -> np.ndarray:
    """Samples of p(x) ∝ x^-alpha for x ≥ 1, by inversion."""
    return np.random.default_rng(seed).random(size) ** (-1.0 / (alpha - 1.0))


def fitted(values: np.ndarray) -> PowerLaw:
    law = fit_power_law(values)
    assert isinstance(law, PowerLaw)
    return law


@pytest.mark.parametrize("alpha", [1.5, 2.0, 3.0, 5.0])
def test_alpha_is_recovered_within_its_error(alpha: float) -> None:
    """Choosing xmin by the best fit widens the spread a little beyond the standard error."""
    laws = [fitted(pareto(alpha, 600, seed)) for seed in range(60)]
    off = np.array([abs(law.alpha - alpha) / law.error for law in laws])
    assert (off < 2.0).mean() > 0.85
    assert (off < 4.0).all()
    assert np.mean([law.alpha for law in laws]) == pytest.approx(alpha, rel=0.05)


def test_a_tail_is_found_above_a_body_that_is_no_power_law() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.random(500), pareto(2.5, 500, seed=1)])
    law = fitted(values)
    assert law.alpha == pytest.approx(2.5, abs=4 * law.error)
    assert 0.8 < law.xmin < 3.0


@pytest.mark.parametrize("scale", [0.002, 1e-30, 1e30])
def test_scale_changes_nothing(scale: float) -> None:
    """WeightWatcher 0.7.7 gives 2.017 for a layer and 1.508 for the same times 0.002."""
    values = pareto(2.2, 400, seed=3)
    law, scaled = fitted(values), fitted(scale * values)
    assert scaled.alpha == pytest.approx(law.alpha, rel=1e-12)
    assert scaled.tail_size == law.tail_size
    assert scaled.xmin == pytest.approx(scale * law.xmin, rel=1e-12)


def test_the_fit_is_the_best_of_all_by_its_own_definition() -> None:
    """Against the plain loop over every xmin."""
    values = np.sort(pareto(2.0, 80, seed=5))
    best = (np.inf, 0.0, 0)
    for i in range(len(values) - 9):
        tail = values[i:]
        alpha = 1 + len(tail) / np.log(tail / tail[0]).sum()
        model = 1 - (tail / tail[0]) ** (1 - alpha)
        steps = np.arange(len(tail) + 1) / len(tail)
        distance = max(np.abs(model - steps[:-1]).max(), np.abs(model - steps[1:]).max())
        best = min(best, (distance, alpha, len(tail)))
    law = fitted(values)
    assert (law.ks_distance, law.alpha) == pytest.approx(best[:2], rel=1e-10)
    assert law.tail_size == best[2]
    assert law.error == pytest.approx((law.alpha - 1) / np.sqrt(law.tail_size))


def test_equal_values_count_together() -> None:
    law = fitted(np.repeat(pareto(2.0, 40, seed=0), 3))
    assert law.tail_size % 3 == 0


@pytest.mark.parametrize("values", [np.ones(9), np.ones(50), np.full(50, 1e-20)])
def test_too_few_or_equal_values_have_a_sentence(values: np.ndarray) -> None:
    assert isinstance(fit_power_law(values), str)
