"""Spectral alpha: recovered from a prescribed tail, on any scale of the weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dyntools.measurement import Status
from dyntools.metrics.weights.spectral_alpha import measure
from tests.matrices import gaussian, prescribed, snapshot


@pytest.mark.parametrize("alpha", [2.0, 3.5])
def test_a_prescribed_tail(alpha: float) -> None:
    samples = np.random.default_rng(0).random(300) ** (-1 / (alpha - 1))
    found = measure(snapshot({"w": prescribed((400, 300), np.sqrt(samples), seed=0)}))
    assert found.error is not None
    assert abs(found.values[0] - alpha) < 3 * found.error[0]
    tail = found.beside["tail_size"][0]
    assert found.error[0] == pytest.approx((found.values[0] - 1) / np.sqrt(tail))
    assert found.beside["ks_distance"][0] < 1 / np.sqrt(tail)
    assert 0 < found.beside["xmin_relative"][0] < 1


@pytest.mark.parametrize("scale", [0.002, 1e-10])
def test_scale_changes_nothing(scale: float) -> None:
    """WeightWatcher 0.7.7: 2.017 becomes 1.508, "over-trained", at 0.002."""
    values = 6.0 * np.arange(5.0, 305.0) ** -0.5
    matrix = prescribed((400, 300), values, seed=0)
    found, scaled = (measure(snapshot({"w": w})) for w in (matrix, scale * matrix))
    assert scaled.values[0] == pytest.approx(found.values[0], rel=1e-9)
    assert scaled.beside["tail_size"][0] == found.beside["tail_size"][0]


def test_rounding_errors_of_a_low_rank_matrix_are_no_tail() -> None:
    samples = np.random.default_rng(0).random(60) ** (-1 / 1.5)
    found = measure(snapshot({"w": prescribed((400, 300), np.sqrt(samples), seed=0)}))
    assert found.beside["tail_size"][0] <= 60


def test_a_gaussian_layer_as_weightwatcher_has_it() -> None:
    """768 x 768: alpha 14.3, no heavy tail; the two agree where no eigenvalue is cut off."""
    found = measure(snapshot({"w": gaussian((768, 768), 0, scale=0.02)}))
    assert found.values[0] == pytest.approx(14.3, abs=0.05)


def test_what_cannot_be_fitted_fails_with_a_sentence() -> None:
    params = {"small": gaussian((5, 5), 0), "flat": torch.eye(40), "zero": torch.zeros(30, 30)}
    found = measure(snapshot(params))
    assert found.status.tolist() == [Status.failed] * 3
    assert set(found.skipped) == set(params)
