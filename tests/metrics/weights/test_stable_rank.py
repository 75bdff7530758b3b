"""Stable rank: |W|²_F / s_1²."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dyntools.measurement import Status
from dyntools.metrics.weights.stable_rank import measure
from tests.matrices import exact, gaussian, prescribed, snapshot


def number(s: np.ndarray) -> float:
    s = s.astype(np.longdouble)
    return float((s**2).sum() / s[0] ** 2)


def test_a_gaussian_layer_has_a_quarter() -> None:
    found = measure(snapshot({"w": gaussian((400, 400), 0)}))
    assert found.beside["null"][0] == 100.0
    assert found.values[0] == pytest.approx(100.0, rel=0.06)


@pytest.mark.parametrize("rank", [1, 3, 20])
def test_equal_singular_values_count_themselves(rank: int) -> None:
    matrix = prescribed((30, 20), np.ones(rank), seed=0)
    found = measure(snapshot({"w": matrix}))
    assert found.values[0] == pytest.approx(rank, rel=1e-9)
    assert found.beside["relative"][0] == pytest.approx(rank / 20, rel=1e-9)


@pytest.mark.parametrize("smallest", [0.5, 1e-4, 2.0**-20])
def test_the_error_bounds_the_error(smallest: float) -> None:
    for seed in range(10):
        matrix, values = exact(64, seed, smallest)
        found = measure(snapshot({"w": matrix}))
        assert found.error is not None
        assert abs(found.values[0] - number(values)) <= found.error[0] < 1e-6


def test_initial_and_scale() -> None:
    now, start = gaussian((30, 20), 0), gaussian((30, 20), 1)
    found = measure(snapshot({"w": 1e-3 * now}, initial={"w": start}))
    assert found.beside["initial"][0] == measure(snapshot({"w": start})).values[0]
    assert found.values[0] == pytest.approx(measure(snapshot({"w": now})).values[0], rel=1e-6)


def test_zero_and_nan_fail_and_vectors_are_left_out() -> None:
    params = {"zero": torch.zeros(3, 4), "nan": torch.full((3, 4), math.nan), "b": torch.ones(3)}
    found = measure(snapshot(params))
    assert found.coords["layer"] == ("zero", "nan")
    assert found.status.tolist() == [Status.failed, Status.failed]
    assert set(found.skipped) == set(params)
