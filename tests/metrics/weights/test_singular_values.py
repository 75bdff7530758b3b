"""Singular values by relative rank: ends are ends, layers of any size share the axis."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dyntools.measurement import Status
from dyntools.metrics.weights.singular_values import FRACTIONS, measure
from tests.matrices import exact, gaussian, reference, snapshot


def test_layers_of_different_size_on_one_axis() -> None:
    params = {"a": gaussian((90, 65), 0), "b": gaussian((2, 7), 1), "bias": torch.ones(3)}
    found = measure(snapshot(params, initial={"a": params["a"]}))
    assert found.dims == ("layer", "fraction")
    assert found.values.shape == (2, 33)
    a, b = reference(params["a"]), reference(params["b"])
    np.testing.assert_allclose(found.values[0], a[::2], rtol=1e-9)  # 65 values: every second
    np.testing.assert_allclose(found.values[1], np.linspace(b[0], b[1], 33), rtol=1e-9)
    np.testing.assert_array_equal(found.beside["initial"][0], found.values[0])
    assert np.isnan(found.beside["initial"][1]).all()
    assert "bias" in found.skipped


def test_noise_lies_on_the_null() -> None:
    found = measure(snapshot({"w": gaussian((600, 300), 0, scale=0.02)}))
    np.testing.assert_allclose(found.values, found.beside["null"], rtol=0.06)


def test_the_error_bounds_the_error() -> None:
    for seed in range(10):
        matrix, values = exact(64, seed, smallest=1e-4)
        found = measure(snapshot({"w": matrix}))
        true = np.interp(FRACTIONS, np.linspace(0, 1, 64), values)
        assert found.error is not None
        assert (np.abs(found.values[0] - true) <= found.error[0]).all()


def test_nan_fails_and_zero_is_no_spectrum() -> None:
    params = {"n": torch.full((3, 3), torch.nan), "z": torch.zeros(3, 3)}
    found = measure(snapshot(params))
    assert (found.status == Status.failed).all()
    assert set(found.skipped) == {"n", "z"}


def test_a_model_without_matrices() -> None:
    found = measure(snapshot({"b": torch.ones(3)}))
    assert found.values.shape == (0, 33)
    assert found.coords["fraction"] == pytest.approx(FRACTIONS)
