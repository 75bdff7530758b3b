"""What the kinds of rank share: each counts singular values that are equal."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from dyntools.measurement import Measurement, Status
from dyntools.metrics.weights import effective_rank, participation_ratio, stable_rank
from dyntools.snapshot import Snapshot
from tests.matrices import exact, gaussian, prescribed, snapshot

Measure = Callable[[Snapshot], Measurement]
Number = Callable[[np.ndarray], float]


def of_entropy(s: np.ndarray) -> float:
    share = s.astype(np.longdouble) / s.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def of_largest(s: np.ndarray) -> float:
    s = s.astype(np.longdouble)
    return float((s**2).sum() / s[0] ** 2)


def of_fourth_powers(s: np.ndarray) -> float:
    s = s.astype(np.longdouble)
    return float((s**2).sum() ** 2 / (s**4).sum())


RANKS = [
    pytest.param(effective_rank.measure, of_entropy, id="effective"),
    pytest.param(stable_rank.measure, of_largest, id="stable"),
    pytest.param(participation_ratio.measure, of_fourth_powers, id="participation"),
]
each = pytest.mark.parametrize(("measure", "number"), RANKS)


@each
@pytest.mark.parametrize("rank", [1, 3, 20])
def test_equal_singular_values_count_themselves(
    measure: Measure, number: Number, rank: int
) -> None:
    matrix = prescribed((30, 20), np.ones(rank), seed=0)
    found = measure(snapshot({"w": matrix}))
    assert found.values[0] == pytest.approx(rank, rel=1e-9)
    assert found.beside["relative"][0] == pytest.approx(rank / 20, rel=1e-9)


@each
@pytest.mark.parametrize("smallest", [0.5, 1e-4, 2.0**-20])
def test_the_error_bounds_the_error(measure: Measure, number: Number, smallest: float) -> None:
    for seed in range(10):
        matrix, values = exact(64, seed, smallest)
        found = measure(snapshot({"w": matrix}))
        assert found.error is not None
        assert abs(found.values[0] - number(values)) <= found.error[0] < 1e-6


@each
def test_initial_and_scale(measure: Measure, number: Number) -> None:
    now, start = gaussian((30, 20), 0), gaussian((30, 20), 1)
    found = measure(snapshot({"w": 1e-3 * now}, initial={"w": start}))
    assert found.beside["initial"][0] == measure(snapshot({"w": start})).values[0]
    assert found.values[0] == pytest.approx(measure(snapshot({"w": now})).values[0], rel=1e-6)


@each
def test_zero_and_nan_fail_and_vectors_are_left_out(measure: Measure, number: Number) -> None:
    params = {"zero": torch.zeros(3, 4), "nan": torch.full((3, 4), math.nan), "b": torch.ones(3)}
    found = measure(snapshot(params))
    assert found.coords["layer"] == ("zero", "nan")
    assert found.status.tolist() == [Status.failed, Status.failed]
    assert set(found.skipped) == set(params)
