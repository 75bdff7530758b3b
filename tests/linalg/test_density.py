from __future__ import annotations

import numpy as np
import pytest
import torch

from dyntools.linalg.density import density
from dyntools.linalg.operator import Operator
from tests.quadratics import quadratic

RNG = np.random.default_rng(0)
SPECTRUM = np.concatenate([[6.0, 5.0, 4.0], RNG.standard_normal(500)])
GRID = np.linspace(-4, 7, 200)
WIDTH = 0.3


def exact(spectrum: np.ndarray) -> np.ndarray:
    away = (GRID[:, None] - spectrum) / WIDTH
    return np.exp(-0.5 * away**2).mean(1) / (WIDTH * np.sqrt(2 * np.pi))


@pytest.mark.parametrize("memory", [None, 0], ids=["reorthogonalised", "three-term"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_density_within_its_standard_error(dtype: torch.dtype, memory: int | None) -> None:
    counted = quadratic(SPECTRUM, dtype)
    found = density(counted.operator, probes=30, steps=60, memory=memory)
    assert found.reorthogonalised == (memory is None)
    assert found.products == counted.products == 30 * 60
    np.testing.assert_allclose(found.weights.sum(1), 1, atol=1e-6)
    curve, error = found.at(GRID, WIDTH)
    z = (curve - exact(SPECTRUM)) / np.maximum(error, 1e-6)
    assert np.abs(z).max() < 5
    assert 0.4 < np.mean(np.abs(z) <= 1) < 0.95
    assert abs(np.trapezoid(curve, GRID) - 1) < 3e-3


def test_moments_are_those_of_the_spectrum() -> None:
    found = density(quadratic(SPECTRUM).operator, probes=30, steps=20)
    for power in (1, 2, 3):
        value, error = found.moment(power)
        assert abs(value - np.mean(SPECTRUM**power)) < 4 * error


def test_copies_of_an_eigenvalue_do_not_change_its_weight() -> None:
    """Without reorthogonalisation the outliers appear several times, and share their weight."""
    operator = quadratic(SPECTRUM, torch.float32).operator
    whole = density(operator, probes=2, steps=150)
    alone = density(operator, probes=2, steps=150, memory=0)
    for probe in range(2):
        copies = [(np.abs(d.nodes[probe] - 6) < 1e-3).sum() for d in (whole, alone)]
        assert copies[0] == 1 < copies[1]
        weights = [
            d.weights[probe][np.abs(d.nodes[probe] - 6) < 1e-3].sum() for d in (whole, alone)
        ]
        assert abs(weights[1] / weights[0] - 1) < 1e-3
    np.testing.assert_allclose(whole.at(GRID, WIDTH)[0], alone.at(GRID, WIDTH)[0], atol=1e-4)


@pytest.mark.parametrize("memory", [None, 0])
def test_degenerate_spectra_break_down_into_exact_rules(memory: int | None) -> None:
    found = density(quadratic([2.0] * 10 + [-1.0] * 30).operator, 5, 20, memory=memory)
    assert found.products == 10
    assert set(np.round(found.nodes[found.weights > 0], 9)) == {2.0, -1.0}
    single = density(quadratic([3.0]).operator, 2, 5, memory=memory)
    assert single.moment(1)[0] == pytest.approx(3)


def test_one_probe_has_no_error_and_a_broken_product_is_nan() -> None:
    assert np.isnan(density(quadratic(SPECTRUM).operator, 1, 5).at(GRID, WIDTH)[1]).all()
    broken = density(Operator(lambda v: torch.full_like(v, torch.nan), 9), 2, 4)
    assert np.isnan(broken.at(GRID, WIDTH)[0]).all()


def test_progress_is_told_after_every_probe() -> None:
    seen: list[int] = []
    density(quadratic(SPECTRUM).operator, 3, 7, told=seen.append)
    assert seen == [7, 14, 21]
