"""Layer rotation: small angles keep their digits; random steps turn a layer by a known law."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dyntools.measurement import Status
from dyntools.metrics.weights.layer_rotation import measure, rotation
from tests.matrices import gaussian, snapshot


def one(now: torch.Tensor, then: torch.Tensor) -> float:
    return float(measure(snapshot({"w": now}, initial={"w": then})).values[0])


def test_known_angles() -> None:
    w = gaussian((30, 20), 0)
    assert one(w, w) == 0.0
    assert one(3 * w, w) == pytest.approx(0.0, abs=1e-14)
    assert one(-w, w) == pytest.approx(2.0)
    right = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 5.0]])
    found = measure(snapshot({"w": right[0]}, initial={"w": right[1]}))
    assert found.values[0] == pytest.approx(1.0)
    assert found.beside["angle_degrees"][0] == pytest.approx(90.0)


@pytest.mark.parametrize("size", [1e-2, 1e-3, 1e-5])
def test_small_rotations_of_a_million_float32_values(size: float) -> None:
    """For a rotation of 5e-7 a float32 cosine gives -1.9e-5."""
    then = gaussian((1000, 1000), 0)
    now = then + size * gaussian((1000, 1000), 1)
    x, y = (t.double().numpy().ravel().astype(np.longdouble) for t in (now, then))
    apart = x / np.sqrt(x @ x) - y / np.sqrt(y @ y)
    true = float(apart @ apart) / 2
    assert true == pytest.approx(size**2 / 2, rel=0.01)
    assert one(now, then) == pytest.approx(true, rel=1e-9)


def test_the_error_bounds_the_error() -> None:
    for seed in range(20):
        then = gaussian((50, 40), seed)
        now = then + 10.0 ** -(seed % 7) * gaussian((50, 40), seed + 100)
        x, y = (t.double().numpy().ravel().astype(np.longdouble) for t in (now, then))
        apart = x / np.sqrt(x @ x) - y / np.sqrt(y @ y)
        value, error = rotation(now, then)
        assert abs(value - float(apart @ apart) / 2) <= error


@pytest.mark.parametrize(("lr", "steps"), [(3**-3, 300), (3**-2, 50)])
def test_layca_with_random_directions(lr: float, steps: int) -> None:
    """Steps orthogonal to w of length lr |w|, renormalised: E[d] = 1 - (1 + lr²)^(-t/2)."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(200, 200, generator=generator, dtype=torch.float64)
    w, length = start.clone(), start.norm()
    for _ in range(steps):
        step = torch.randn(200, 200, generator=generator, dtype=torch.float64)
        step -= (step * w).sum() * w / (w * w).sum()
        w -= lr * step * w.norm() / step.norm()
        w *= length / w.norm()
    assert one(w, start) == pytest.approx(1 - (1 + lr**2) ** (-steps / 2), abs=0.015)


def test_kernels_only_and_every_other_tensor_with_its_reason() -> None:
    now = {"w": gaussian((4, 3), 0), "b": torch.ones(4), "new": gaussian((2, 2), 1)}
    then = {"w": torch.zeros(4, 3), "b": torch.ones(4)}
    found = measure(snapshot(now, initial=then))
    assert found.coords["layer"] == ("w", "new")
    assert found.status.tolist() == [Status.failed, Status.skipped]
    assert set(found.skipped) == {"b", "w", "new"}


def test_without_initial_weights_nothing_is_measured() -> None:
    found = measure(snapshot({"w": gaussian((4, 3), 0)}))
    assert found.values.shape == (0,)
    assert found.skipped[""]
