"""RMS spike: closed forms, Adam of torch written out, and which gradient it is that is measured."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dyntools.live import snapshot_of
from dyntools.measurement import Measurement, Status
from dyntools.measuring import measure
from dyntools.problem import Problem
from dyntools.snapshot import Snapshot, Tensors
from tests.metrics.optimizer.adam_states import adam_snapshot


def with_gradients(snapshot: Snapshot, **gradients: Tensor) -> Snapshot:
    return replace(snapshot, gradients=Tensors.of(gradients))


def found(snapshot: Snapshot) -> Measurement:
    return measure(snapshot, "rms_spike")


def averaged(gradients: list[Tensor], beta2: float) -> Tensor:
    v = torch.zeros_like(gradients[0])
    for g in gradients:
        v = beta2 * v + (1 - beta2) * g**2
    return v


def noise(count: int, size: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, generator=generator) for _ in range(count)]


def test_one_at_the_first_step_whatever_the_gradient() -> None:
    (g,) = noise(1, 500)
    m = found(with_gradients(adam_snapshot({"w": 0.001 * g**2}, steps=1), w=g))
    assert m.values[0] == pytest.approx(1.0, rel=1e-5)
    assert m.beside["ceiling"][0] == pytest.approx(1.0)
    assert math.isnan(m.beside["before"][0])


@pytest.mark.parametrize("beta2", [0.9, 0.95, 0.99])
def test_stationary_noise_is_about_one(beta2: float) -> None:
    gradients = noise(600, 20_000)
    v = averaged(gradients, beta2)
    state = adam_snapshot({"w": v}, steps=600, betas=(0.9, beta2))
    m = found(with_gradients(state, w=gradients[-1]))
    assert m.values[0] == pytest.approx(1.0, abs=0.06)
    assert m.beside["spiked"][0] == 0.0


@pytest.mark.parametrize("factor", [1.0, 3.0, 30.0, 1000.0])
def test_a_jump_of_a_constant_gradient_in_closed_form(factor: float) -> None:
    """v̂ = 1 before; then g = f: v̂ = β̂ + (1-β̂) f², value f/√v̂, before f exactly."""
    beta2, steps = 0.99, 50
    ones = torch.ones(300, dtype=torch.float64)
    v = averaged([ones] * (steps - 1) + [factor * ones], beta2)
    state = adam_snapshot({"w": v}, steps=steps, betas=(0.9, beta2))
    m = found(with_gradients(state, w=factor * ones))
    share = (1 - beta2) / (1 - beta2**steps)
    assert m.values[0] == pytest.approx(factor / math.sqrt(1 - share + share * factor**2))
    assert m.beside["before"][0] == pytest.approx(factor, rel=1e-6)
    assert m.beside["ceiling"][0] == pytest.approx(1 / math.sqrt(share))
    past = 1 - beta2 ** (steps - 1)
    assert m.beside["spiked"][0] == float(factor**2 > 5000 * past)


def test_the_floor_is_eps_squared_and_zeros_are_counted() -> None:
    g = torch.tensor([0.0, 0.0, 0.0, 1e-12])
    m = found(with_gradients(adam_snapshot({"w": torch.full((4,), 1e-30)}, eps=1e-8), w=g))
    assert m.values[0] == pytest.approx(math.sqrt(0.25 * 1e-24 / 1e-16), rel=1e-5)
    assert m.beside["zero"][0] == 0.75
    assert m.beside["size"][0] == 4


def test_a_gradient_that_is_not_in_the_moment_is_said_to_be_none() -> None:
    """As where `step` comes before the optimizer's: the RMS stands, what was before is not told."""
    g = 100.0 * torch.ones(300)
    m = found(with_gradients(adam_snapshot({"w": torch.ones(300)}, steps=1000), w=g))
    assert "does not hold this gradient" in m.method
    assert math.isnan(m.beside["before"][0])
    assert m.values[0] > 30


@pytest.mark.parametrize(
    ("gradient", "why"),
    [
        (torch.tensor([1.0, math.nan]), "NaN or inf"),
        (torch.tensor([1.0, math.inf]), "NaN or inf"),
        (torch.zeros(2), "zero everywhere"),
    ],
)
def test_gradients_that_give_no_number(gradient: Tensor, why: str) -> None:
    m = found(with_gradients(adam_snapshot({"w": torch.ones(2)}), w=gradient))
    assert m.status[0] == Status.failed
    assert why in m.skipped["w"]


def test_a_tensor_without_a_gradient_is_named() -> None:
    m = found(with_gradients(adam_snapshot({"a": torch.ones(2), "b": torch.ones(2)}),
                             a=torch.ones(2)))  # fmt: skip
    assert m.status.tolist() == [Status.ok, Status.skipped]
    assert "zero_grad" in m.skipped["b"]


@pytest.mark.parametrize("settings", [{"foreach": True}, {"foreach": False}, {"amsgrad": True}])
def test_live_against_adam_written_out(settings: dict[str, bool]) -> None:
    """RMS of g/√v̂ and of g over the √v̂ of the step before, after each of six steps of torch."""
    torch.manual_seed(0)
    model = nn.Linear(30, 20)
    adam = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), **settings)
    v, largest = np.zeros((20, 30)), np.zeros((20, 30))
    for t in range(1, 7):
        adam.zero_grad()
        (model(t**2 * torch.randn(8, 30)) ** 2).mean().backward()
        adam.step()
        m = found(snapshot_of(model, t, optimizer=adam, gradients=True))
        assert model.weight.grad is not None
        g = model.weight.grad.double().numpy()
        before, v = v / (1 - 0.95 ** (t - 1) if t > 1 else 1), 0.95 * v + 0.05 * g**2
        largest = np.maximum(largest, v)
        used = largest if settings.get("amsgrad") else v
        here = list(m.coords["layer"]).index("weight")
        value = math.sqrt(np.mean(g**2 / (used / (1 - 0.95**t))))
        assert m.values[here] == pytest.approx(value, rel=1e-5)
        assert m.method == ""
        if t >= 4:  # fewer squares in the mean, and the smallest of them decides
            past = math.sqrt(np.mean(g**2 / before))
            assert m.beside["before"][here] == pytest.approx(past, rel=2e-2)


def test_after_zero_grad_there_is_nothing_to_measure() -> None:
    model = nn.Linear(3, 2)
    adam = torch.optim.Adam(model.parameters())
    model(torch.ones(4, 3)).sum().backward()
    adam.step()
    adam.zero_grad()
    m = found(snapshot_of(model, 1, optimizer=adam, gradients=True))
    assert not (m.status == Status.ok).any()
    assert "zero_grad" in m.skipped["weight"]


def test_the_gradient_of_a_problem_is_another_quantity_and_says_so() -> None:
    torch.manual_seed(0)
    model = nn.Linear(30, 1)
    x, y = torch.randn(64, 30), torch.randn(64, 1)
    problem = Problem(model, [(x, y)], lambda z, batch: ((z - batch[1]) ** 2).mean())
    adam = torch.optim.Adam(model.parameters(), betas=(0.9, 0.95))
    for _ in range(3):
        adam.zero_grad()
        ((model(x) - y) ** 2).mean().backward()
        adam.step()
    state = adam.state[model.weight]["exp_avg_sq"].double() / (1 - 0.95**3)
    m = found(snapshot_of(model, 3, optimizer=adam, problem=problem))
    loss = ((model(x) - y) ** 2).mean()
    (g,) = torch.autograd.grad(loss, model.weight)
    value = float((g.double() ** 2 / state).mean().sqrt())
    here = list(m.coords["layer"]).index("weight")
    assert m.values[here] == pytest.approx(value, rel=1e-5)
    assert m.method == "gradient of the probe, not of training"
    assert math.isnan(m.beside["ceiling"][here])
    assert math.isnan(m.beside["before"][here])
