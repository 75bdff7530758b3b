"""Angular update: an angle turned on purpose comes back, per step, and what is radial is told."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dyntools.measurement import Status
from dyntools.metrics.weights.angular_update import angle_and_radial_share, measure
from tests.matrices import gaussian, snapshot


def turned(then: torch.Tensor, angle: float) -> torch.Tensor:
    other = gaussian(tuple(then.shape), 99).double()
    other -= (other * then).sum() / (then * then).sum() * then
    return math.cos(angle) * then + math.sin(angle) * other * then.norm() / other.norm()


@pytest.mark.parametrize("angle", [1e-9, 1e-4, 0.5, 2.0, 3.0])
def test_the_angle_comes_back_per_step(angle: float) -> None:
    then = gaussian((40, 30), 0).double()
    found = measure(
        snapshot({"w": turned(then, angle)}, previous={"w": then}, step=100, previous_step=75)
    )
    assert found.beside["total"][0] == pytest.approx(angle, rel=1e-6)
    assert found.values[0] == pytest.approx(angle / 25, rel=1e-6)
    assert found.error is not None
    assert abs(found.values[0] - angle / 25) <= found.error[0]


def test_the_error_bounds_the_error() -> None:
    for seed in range(20):
        then = gaussian((50, 40), seed)
        now = then + 10.0 ** -(seed % 7) * gaussian((50, 40), seed + 100)
        x, y = (t.double().numpy().ravel().astype(np.longdouble) for t in (now, then))
        apart = x / np.sqrt(x @ x) - y / np.sqrt(y @ y)
        true = 2 * np.arcsin(np.sqrt(apart @ apart) / 2) / 10
        found = measure(snapshot({"w": now}, previous={"w": then}))
        assert found.error is not None
        assert abs(found.values[0] - true) <= found.error[0]


def test_radial_share_of_growth_of_turning_and_of_noise() -> None:
    then = gaussian((40, 30), 0).double()
    assert angle_and_radial_share(1.1 * then, then)[1] == pytest.approx(1.0)
    side = turned(then, math.pi / 2)
    assert angle_and_radial_share(then + 0.1 * side, then)[1] == pytest.approx(0.0, abs=1e-12)
    shares = [
        angle_and_radial_share(then + 1e-3 * gaussian((40, 30), seed).double(), then)[1]
        for seed in range(1, 200)
    ]
    assert np.mean(shares) == pytest.approx(1 / 1200, rel=0.4)


def test_an_unchanged_kernel_turned_by_nothing() -> None:
    w = {"w": gaussian((4, 3), 0)}
    found = measure(snapshot(w, previous=w))
    assert found.values[0] == 0.0
    assert math.isnan(found.beside["radial_share"][0])


def test_nan_and_zero_fail_and_other_shapes_are_skipped() -> None:
    now = {n: gaussian((4, 3), 0) for n in ("nan", "zero", "shape")}
    then = {
        "nan": torch.full((4, 3), math.nan),
        "zero": torch.zeros(4, 3),
        "shape": gaussian((3, 4), 0),
    }
    found = measure(snapshot(now, previous=then))
    assert found.status.tolist() == [Status.failed, Status.failed, Status.skipped]
    assert np.isnan(found.values).all()
    assert set(found.skipped) == set(now)
