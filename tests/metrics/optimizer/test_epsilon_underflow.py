"""Epsilon underflow: the shares of a lognormal √v are those of the normal distribution."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest
import torch

from dyntools.measurement import Measurement, Status
from dyntools.measuring import measure
from tests.metrics.optimizer.adam_states import adam_snapshot, lognormal


def of(v: torch.Tensor, **settings: object) -> Measurement:
    return measure(adam_snapshot({"w": v}, **settings), "epsilon_underflow")


@pytest.mark.parametrize("centre", [1e-10, 1e-8, 3e-8, 1e-6])
@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_shares_of_a_lognormal(centre: float, spread: float) -> None:
    """Φ(log(eps/centre)/spread); with 40000 values four standard errors are at most 0.01."""
    found = of(lognormal(40000, spread, centre))
    below = NormalDist().cdf(math.log(1e-8 / centre) / spread)
    below_near = NormalDist().cdf(math.log(1e-7 / centre) / spread)
    assert found.values[0] == pytest.approx(below, abs=0.01)
    assert found.beside["near"][0] == pytest.approx(below_near - below, abs=0.01)
    assert found.values[0] + found.beside["near"][0] + found.beside["above"][0] == pytest.approx(1)


def test_constants_on_either_side() -> None:
    for size, expected in ((0.99e-8, (1, 0, 0)), (1.01e-8, (0, 1, 0)), (1.01e-7, (0, 0, 1))):
        found = of(torch.full((5, 4), size, dtype=torch.float64) ** 2)
        assert (found.values[0], found.beside["near"][0], found.beside["above"][0]) == expected
        assert found.beside["rms_ratio"][0] == pytest.approx(size / 1e-8)


def test_the_ratio_is_that_of_the_rms() -> None:
    found = of(torch.tensor([9e-16, 0.0, 16e-16, 11e-16], dtype=torch.float64))
    assert found.beside["rms_ratio"][0] == pytest.approx(3.0)
    assert found.values[0] == 0.25
    assert found.beside["zero"][0] == 0.25


def test_gradients_below_the_range_of_float32_squares() -> None:
    """√v̂ is compared in float64: v of 1e-42 is a gradient of 1e-21, which is not below 1e-22."""
    v = torch.full((3,), 1e-42)
    assert of(v, eps=1e-15).values[0] == 1.0
    assert of(v, eps=1e-22).values[0] == 0.0


def test_bias_is_corrected_before_the_comparison() -> None:
    """After one step v is a thousandth of the squared gradient: 2e-8 must not seem 6e-10."""
    found = of(torch.full((3,), 0.001 * 4e-16, dtype=torch.float64), steps=1)
    assert found.values[0] == 0.0
    assert found.beside["rms_ratio"][0] == pytest.approx(2.0)


def test_eps_of_the_group_is_used_and_zero_is_one() -> None:
    v = torch.tensor([0.0, 1e-12])
    found = of(v, eps=1e-3)
    assert (found.values[0], found.beside["eps"][0]) == (1.0, 1e-3)
    nothing = of(v, eps=0.0)
    assert (nothing.values[0], nothing.beside["zero"][0]) == (0.0, 0.5)
    assert math.isnan(nothing.beside["rms_ratio"][0])


def test_zero_is_a_fact_and_nan_a_failure() -> None:
    second = {"zero": torch.zeros(3), "nan": torch.tensor([math.nan]), "less": -torch.ones(2)}
    found = measure(adam_snapshot(second), "epsilon_underflow")
    assert found.status.tolist() == [Status.ok, Status.failed, Status.failed]
    assert (found.values[0], found.beside["zero"][0]) == (1.0, 1.0)
    assert "NaN or inf" in found.skipped["nan"]
    assert "negative" in found.skipped["less"]
