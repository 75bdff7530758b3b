"""Condition number: exact where it can be told, a lower bound where it cannot."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dyntools.measurement import Status
from dyntools.metrics.weights.condition_number import measure
from tests.matrices import exact, gaussian, prescribed, snapshot


@pytest.mark.parametrize("smallest", [0.5, 1e-3, 1e-4, 2.0**-20])
def test_the_error_bounds_the_error(smallest: float) -> None:
    for seed in range(10):
        matrix, values = exact(64, seed, smallest)
        found = measure(snapshot({"w": matrix}))
        true = values[0] / values[-1]
        assert found.error is not None
        assert abs(found.values[0] - true) <= found.error[0] < 1e-4 * true
        assert found.beside["at_least"][0] <= true * (1 + 1e-15)


def test_ten_million_keeps_its_digits() -> None:
    matrix = prescribed((90, 60), np.geomspace(1, 1e-7, 60), seed=0)
    assert measure(snapshot({"w": matrix})).values[0] == pytest.approx(1e7, rel=1e-6)


def test_a_singular_matrix_has_a_lower_bound_and_no_value() -> None:
    matrix = gaussian((30, 20), 0)
    matrix[:, 3] = matrix[:, 4]
    found = measure(snapshot({"w": matrix}))
    assert math.isnan(found.values[0])
    assert found.status[0] == Status.failed
    assert found.beside["at_least"][0] > 1e12
    assert "at least" in found.skipped["w"]


def test_null_initial_zero_and_nan() -> None:
    params = {"w": gaussian((400, 100), 0), "z": torch.zeros(3, 3), "n": torch.ones(3, 3) / 0}
    found = measure(snapshot(params, initial=params))
    assert found.values[0] == pytest.approx(found.beside["null"][0], rel=0.1)
    assert found.beside["initial"][0] == found.values[0]
    assert found.status.tolist() == [Status.ok, Status.failed, Status.failed]
