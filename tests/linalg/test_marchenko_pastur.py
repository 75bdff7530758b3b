"""The null against the published closed forms and against matrices drawn at random."""

from __future__ import annotations

import numpy as np
import pytest

from dyntools.linalg import marchenko_pastur
from tests.matrices import gaussian, reference

SHAPES = [(768, 768), (3072, 768), (768, 2304), (64, 768)]


@pytest.mark.parametrize(
    ("shape", "share", "stable", "participation"),
    [
        ((768, 768), 0.8050, 192.0, 383.8),
        ((3072, 768), 0.9662, 341.3, 614.2),
        ((768, 2304), 0.9537, 308.7, 575.8),
        ((64, 768), 0.9893, 38.5, 59.0),
    ],
)
def test_table_of_definitions(
    shape: tuple[int, int], share: float, stable: float, participation: float
) -> None:
    assert marchenko_pastur.effective_rank(*shape) / min(shape) == pytest.approx(share, abs=5e-5)
    assert marchenko_pastur.stable_rank(*shape) == pytest.approx(stable, abs=0.05)
    assert marchenko_pastur.participation_ratio(*shape) == pytest.approx(participation, abs=0.05)


@pytest.mark.parametrize("shape", [(400, 400), (1200, 300), (300, 700)])
def test_random_matrices(shape: tuple[int, int]) -> None:
    s = reference(gaussian(shape, 0))
    share = s / s.sum()
    rank = float(np.exp(-(share * np.log(share)).sum()))
    assert marchenko_pastur.effective_rank(*shape) == pytest.approx(rank, rel=2e-3)
    ratio = (s**2).sum() ** 2 / (s**4).sum()
    assert marchenko_pastur.participation_ratio(*shape) == pytest.approx(ratio, rel=0.01)
    assert marchenko_pastur.stable_rank(*shape) == pytest.approx((s**2).sum() / s[0] ** 2, rel=0.06)
    assert marchenko_pastur.top_singular_value(*shape) == pytest.approx(s[0], rel=0.03)


@pytest.mark.parametrize("shape", [(400, 400), (1200, 300)])
def test_quantiles_are_the_spectrum(shape: tuple[int, int]) -> None:
    s = reference(gaussian(shape, 0))
    fractions = tuple(np.linspace(0.05, 0.95, 10))
    found = marchenko_pastur.quantiles(*shape, fractions)
    measured = np.interp(fractions, np.linspace(0, 1, len(s)), s)
    np.testing.assert_allclose(found, measured, rtol=0.03)
    edges = marchenko_pastur.quantiles(*shape, (0.0, 1.0))
    np.testing.assert_allclose(edges, np.sqrt(shape[0]) + np.array([1, -1]) * np.sqrt(shape[1]))


def test_condition_number_of_oblong_and_of_square_matrices() -> None:
    s = reference(gaussian((1200, 300), 0))
    assert marchenko_pastur.condition_number(1200, 300) == pytest.approx(s[0] / s[-1], rel=0.1)
    square = [reference(gaussian((60, 60), seed)) for seed in range(40)]
    median = np.median([s[0] / s[-1] for s in square])
    assert marchenko_pastur.condition_number(60, 60) == pytest.approx(median, rel=1.0)


def test_wide_and_tall_have_one_null() -> None:
    for name in ("effective_rank", "stable_rank", "participation_ratio", "condition_number"):
        null = getattr(marchenko_pastur, name)
        assert null(30, 70) == null(70, 30)
