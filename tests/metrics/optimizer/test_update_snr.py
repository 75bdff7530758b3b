"""Update SNR: constant gradients give 1, noise the closed form, and quantiles those of NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dyntools.live import snapshot_of
from dyntools.measurement import Status
from dyntools.measuring import measure
from dyntools.metrics.optimizer.update_snr import of_noise
from tests.matrices import gaussian
from tests.metrics.optimizer.adam_states import adam_snapshot, lognormal, without


def test_dense_reference() -> None:
    m, v = gaussian((30, 20), 0, 1e-3), gaussian((30, 20), 1, 1e-2) ** 2
    found = measure(adam_snapshot({"w": v}, {"w": m}, steps=7), "update_snr")
    m_hat = m.double().numpy() / (1 - 0.9**7)
    v_hat = v.double().numpy() / (1 - 0.999**7)
    ratio = np.abs(m_hat) / np.sqrt(v_hat)
    assert found.values[0] == pytest.approx(np.sqrt(np.mean(ratio**2)), rel=1e-12)
    for name, level in {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}.items():
        assert found.beside[name][0] == pytest.approx(np.quantile(ratio, level), rel=1e-12)
    assert found.beside["zero"][0] == 0.0


def trained(gradients: torch.Tensor, betas: tuple[float, float]) -> torch.optim.Adam:
    """torch's Adam after these gradients of one vector, (steps, n)."""
    weight = torch.nn.Parameter(torch.zeros(gradients.shape[1]))
    optimizer = torch.optim.Adam([weight], lr=1e-3, betas=betas)
    for gradient in gradients:
        weight.grad = gradient
        optimizer.step()
    return optimizer


def of(optimizer: torch.optim.Adam) -> float:
    model = torch.nn.Module()
    model.weight = optimizer.param_groups[0]["params"][0]
    return float(measure(snapshot_of(model, 1, optimizer=optimizer), "update_snr").values[0])


def test_gradients_that_agree_give_one_at_every_step() -> None:
    constant = gaussian((1, 50), 0)
    for steps in (1, 2, 30):
        assert of(trained(constant.expand(steps, -1), (0.9, 0.999))) == pytest.approx(1, rel=1e-5)


# 20000 weights: the standard error of the RMS is about 0.5 %, 0.2 % at the first steps.
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.95, 0.999), (0.0, 0.999), (0.9, 0.99)])
@pytest.mark.parametrize("steps", [1, 2, 10, 60])
def test_noise_gives_the_closed_form(betas: tuple[float, float], steps: int) -> None:
    found = of(trained(gaussian((steps, 20000), steps), betas))
    assert found == pytest.approx(of_noise(betas[0], steps), rel=0.02)


def test_heavy_tails_have_the_same_null_once_many_gradients_are_averaged() -> None:
    """Laplace noise, at a step at which v̂ is the mean of 393 squares and m̂ of 19 gradients."""
    generator = torch.Generator().manual_seed(0)
    sizes = -torch.rand((400, 5000), generator=generator).clamp_min(1e-30).log()
    signs = torch.randint(2, (400, 5000), generator=generator) * 2.0 - 1.0
    found = of(trained(sizes * signs, (0.9, 0.999)))
    assert found == pytest.approx(of_noise(0.9, 400), rel=0.03)


def test_the_null_in_its_two_limits() -> None:
    assert of_noise(0.9, 1) == pytest.approx(1.0)
    assert of_noise(0.9, math.inf) == pytest.approx(math.sqrt(0.1 / 1.9))
    assert of_noise(0.9, 1e6) == pytest.approx(0.2294, abs=1e-4)
    assert of_noise(0.0, 5) == 1.0


def test_weights_that_were_never_reached_are_left_out_and_counted() -> None:
    m, v = torch.tensor([0.0, 0.0, 3.0, -4.0]), torch.tensor([0.0, 0.0, 9.0, 64.0])
    found = measure(adam_snapshot({"w": v}, {"w": m}), "update_snr")
    assert found.values[0] == pytest.approx(math.sqrt((1 + 0.25) / 2))
    assert found.beside["q50"][0] == pytest.approx(0.75)
    assert found.beside["zero"][0] == 0.5


def test_free_of_scale_down_to_gradients_of_1e_20() -> None:
    v = lognormal(1000, 1.0)
    m = v.sqrt() * 0.3
    for scale in (1.0, 1e-6, 1e-12, 1e-20):
        found = measure(adam_snapshot({"w": v * scale**2}, {"w": m * scale}), "update_snr")
        assert found.values[0] == pytest.approx(0.3, rel=1e-9)


def test_what_cannot_be_measured_says_why() -> None:
    bad = adam_snapshot(
        {"nan": torch.tensor([1.0, math.nan]), "none": torch.zeros(3), "ok": torch.ones(2)},
        {"ok": torch.tensor([math.inf, 0.0])},
    )
    found = measure(bad, "update_snr")
    assert (found.status == Status.failed).all()
    assert "NaN or inf" in found.skipped["nan"]
    assert "no gradient" in found.skipped["none"]
    assert "first moment holds" in found.skipped["ok"]
    assert found.beside["zero"][1] == 1.0
    other = measure(adam_snapshot({"w": torch.ones(2)}, {"w": torch.ones(3)}), "update_snr")
    assert "another shape" in other.skipped["w"]
    headless = measure(without(adam_snapshot({"w": torch.ones(2)}), "exp_avg"), "update_snr")
    assert headless.status[0] == Status.skipped
    assert "no first moment" in headless.skipped["w"]


def test_moments_of_8_bits_are_said_to_be() -> None:
    found = measure(
        adam_snapshot({"w": torch.ones(2)}, {"w": torch.ones(2)}, family="adam8bit"), "update_snr"
    )
    assert "8 bits" in found.method


def test_mixed_precisions() -> None:
    m, v = gaussian((40,), 0).bfloat16(), (gaussian((40,), 1) ** 2).double()
    found = measure(adam_snapshot({"w": v}, {"w": m}), "update_snr")
    ratio = m.double().numpy() / np.sqrt(v.numpy())
    assert found.values[0] == pytest.approx(np.sqrt(np.mean(ratio**2)), rel=1e-12)
