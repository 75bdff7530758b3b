"""Spectral norm: both routes, its null, and the equilibrium of AdamW under pure noise."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from dyntools.measurement import Status
from dyntools.metrics.weights import singular_values, spectral_alpha
from dyntools.metrics.weights.spectral_norm import measure
from tests.matrices import gaussian, reference, snapshot

ROUTES = ["spectrum", "lanczos"]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("shape", [(300, 280), (20, 90), (2, 2)])
def test_equal_to_lapack_within_the_error(route: str, shape: tuple[int, int]) -> None:
    for seed in range(5):
        now, start = gaussian(shape, seed), gaussian(shape, seed + 50)
        found = measure(snapshot({"w": now}, initial={"w": start}), route=route)
        true, before = reference(now)[0], reference(start)[0]
        assert found.error is not None
        assert abs(found.values[0] - true) <= found.error[0] + 1e-15 * true
        assert found.beside["initial"][0] == pytest.approx(before, rel=1e-9)
        assert found.beside["ratio_to_initial"][0] == pytest.approx(true / before, rel=1e-9)
        rms = float(now.double().square().mean().sqrt())
        null = rms * (math.sqrt(shape[0]) + math.sqrt(shape[1]))
        assert found.beside["null"][0] == pytest.approx(null, rel=1e-12)


@pytest.mark.parametrize("scale", [2.0**-530, 2.0**500])
def test_companions_of_a_spectrum_whose_squares_leave_the_range(
    scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = snapshot({"w": gaussian((40, 30), 0).double()})
    before = measure(now).beside["null"][0]
    (matrix,) = now.matrices()
    true = now.spectrum(matrix)
    far = replace(true, values=true.values * scale, error=true.error * scale)
    monkeypatch.setattr(type(now), "spectrum", lambda *_: far)
    assert measure(now).beside["null"][0] == pytest.approx(before * scale, rel=1e-14)
    assert singular_values.measure(now).beside["null"][0, 0] > 0
    with np.errstate(all="raise"):
        found = spectral_alpha.measure(now)
    monkeypatch.undo()
    assert found.values[0] == spectral_alpha.measure(now).values[0]
    assert (
        found.beside["xmin_relative"][0] == spectral_alpha.measure(now).beside["xmin_relative"][0]
    )


@pytest.mark.parametrize("route", ROUTES)
def test_pure_noise_adamw_settles_at_its_closed_form(route: str) -> None:
    """rms → √(η/2λ), s_1 → √(η/2λ)(√m + √n)."""
    lr, decay, size = 4e-2, 0.5, 256
    generator = torch.Generator().manual_seed(0)
    w = torch.zeros(size, size + 30)
    for _ in range(200):
        w = (1 - lr * decay) * w - lr * torch.randn(w.shape, generator=generator)
    found = measure(snapshot({"w": w}), route=route)
    law = math.sqrt(lr / (2 * decay)) * (math.sqrt(size) + math.sqrt(size + 30))
    assert found.values[0] == pytest.approx(law, rel=0.03)
    assert found.beside["null"][0] == pytest.approx(law, rel=0.02)


@pytest.mark.parametrize("route", ROUTES)
def test_zero_and_nan_fail_with_a_sentence(route: str) -> None:
    params = {"zero": torch.zeros(5, 4), "nan": torch.full((300, 300), math.nan)}
    found = measure(snapshot(params), route=route)
    assert found.status.tolist() == [Status.failed, Status.failed]
    assert np.isnan(found.values).all()
    assert "zero" in found.skipped["zero"]
    assert "NaN" in found.skipped["nan"]


@pytest.mark.parametrize("route", ROUTES)
def test_without_an_initial_value_the_companion_is_nan(route: str) -> None:
    w = gaussian((5, 4), 0)
    for initial in (None, {}, {"w": torch.zeros(5, 4)}, {"w": gaussian((4, 5), 0)}):
        found = measure(snapshot({"w": w}, initial=initial), route=route)
        assert found.status.tolist() == [Status.ok]
        assert math.isnan(found.beside["initial"][0])
        assert math.isnan(found.beside["ratio_to_initial"][0])
