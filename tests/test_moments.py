"""Moments: the corrections of one real step of torch, and why a tensor has none."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dyntools.checkpoint import Entry, OptimizerState
from dyntools.moments import (
    NOT_STEPPED,
    Moments,
    effective_samples,
    has_moments,
    has_stepped,
    moments_of,
)
from tests.matrices import gaussian

GROUP = {"lr": 1e-3, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1, "params": ("w",)}


def entry(tensor: Tensor) -> Entry:
    dtype = str(tensor.dtype).removeprefix("torch.")
    return Entry(tuple(tensor.shape), dtype, lambda: tensor)


def state_of(entries: dict[str, Tensor], family: str = "adam", **changes: object) -> OptimizerState:
    held = {"w": {key: entry(tensor) for key, tensor in entries.items()}}
    return OptimizerState(family, ({**GROUP, **changes},), held, "by name")


def adam(shape: tuple[int, ...] = (4, 3), steps: float = 10) -> dict[str, Tensor]:
    return {
        "step": torch.tensor(float(steps)),
        "exp_avg": gaussian(shape, 0),
        "exp_avg_sq": gaussian(shape, 1).square(),
    }


def found(state: OptimizerState, shape: tuple[int, ...] | None = (4, 3)) -> Moments:
    moments = moments_of(state, "w", shape)
    assert isinstance(moments, Moments), moments
    return moments


def reason(state: OptimizerState, shape: tuple[int, ...] | None = (4, 3)) -> str:
    moments = moments_of(state, "w", shape)
    assert isinstance(moments, str)
    return moments


def torch_state(
    gradients: Iterable[Tensor], **settings: object
) -> tuple[OptimizerState, Tensor, Tensor]:
    """The state after steps of AdamW, and the weight before the last of them and after it."""
    weight = torch.nn.Parameter(gaussian((4, 3), 7).double())
    optimizer = torch.optim.AdamW([weight], **settings)  # type: ignore[arg-type]
    before = weight.detach().clone()
    for gradient in gradients:
        before = weight.detach().clone()
        weight.grad = gradient.double()
        optimizer.step()
    (group,) = optimizer.param_groups
    return state_of(optimizer.state[weight], **{**group, "params": ("w",)}), before, weight.detach()


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("count", [1, 4])
def test_the_update_is_the_step_that_torch_took(count: int, amsgrad: bool) -> None:
    """θ' = (1 - lr wd) θ - lr m̂/(√v̂ + eps); gradients that shrink, so that AMSGrad's v differs."""
    gradients = [gaussian((4, 3), seed) * 0.1**seed for seed in range(count)]
    settings = {"lr": 3e-2, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.2}
    state, before, after = torch_state(gradients, amsgrad=amsgrad, **settings)
    moments = found(state)
    m_hat = moments.m_hat()
    assert m_hat is not None
    update = m_hat / (moments.v_hat().sqrt() + moments.eps)
    expected = (1 - moments.lr * moments.weight_decay) * before - moments.lr * update
    torch.testing.assert_close(after, expected, rtol=1e-12, atol=1e-15)
    assert (moments.steps, moments.beta1, moments.beta2) == (count, 0.8, 0.9)


def test_amsgrad_divides_by_the_largest_and_stores_the_last() -> None:
    state, _, _ = torch_state([gaussian((4, 3), 0), 0.01 * gaussian((4, 3), 1)], amsgrad=True)
    moments, held = found(state), state.state["w"]
    assert torch.equal(moments.v(), held["exp_avg_sq"].read())
    correction = 1 - 0.999**2
    torch.testing.assert_close(moments.v_hat() * correction, held["max_exp_avg_sq"].read())
    assert bool((moments.v_hat() * correction > moments.v()).any())


def test_after_one_step_the_corrections_give_back_the_gradient() -> None:
    gradient = gaussian((4, 3), 2)
    state, _, _ = torch_state([gradient])
    moments = found(state)
    m_hat = moments.m_hat()
    assert m_hat is not None
    torch.testing.assert_close(m_hat, gradient.double(), rtol=1e-12, atol=0.0)
    torch.testing.assert_close(moments.v_hat(), gradient.double().square(), rtol=1e-12, atol=0.0)
    assert moments.n_eff == pytest.approx(1.0)


def test_without_a_number_of_steps_nothing_is_corrected() -> None:
    entries = adam()
    del entries["step"]
    moments = found(state_of(entries))
    assert moments.steps == math.inf
    assert torch.equal(moments.v_hat(), entries["exp_avg_sq"].double())
    assert torch.equal(moments.m_hat(), entries["exp_avg"].double())  # type: ignore[arg-type]
    assert moments.n_eff == pytest.approx(1.95 / 0.05)
    assert found(state_of(entries, step=5)).steps == 5  # as bitsandbytes and apex keep it


def test_v_hat_is_float64_before_it_is_divided() -> None:
    entries = adam()
    entries["exp_avg_sq"] = torch.full((4, 3), 1e-44)
    v_hat = found(state_of(entries, betas=(0.9, 0.0))).v_hat()
    assert v_hat.dtype == torch.float64
    assert float(v_hat.max()) == pytest.approx(float(torch.tensor(1e-44)), rel=1e-15)


def test_settings_and_their_defaults() -> None:
    moments = found(state_of(adam()))
    assert (moments.lr, moments.beta1, moments.beta2) == (1e-3, 0.9, 0.95)
    assert (moments.eps, moments.weight_decay) == (1e-8, 0.1)
    bare = found(replace(state_of(adam()), groups=()))
    assert math.isnan(bare.lr)
    assert (bare.beta1, bare.beta2, bare.eps, bare.weight_decay) == (0.9, 0.999, 1e-8, 0.0)


def test_the_group_is_that_of_the_parameter() -> None:
    groups = ({**GROUP, "params": ("other",), "eps": 1.0}, {**GROUP, "eps": 2.0})
    assert found(replace(state_of(adam()), groups=groups)).eps == 2.0


def test_no_first_moment() -> None:
    entries = adam()
    del entries["exp_avg"]
    moments = found(state_of(entries))
    assert moments.first is None
    assert moments.m_hat() is None


def test_the_shape_of_a_state_without_a_name_is_its_own() -> None:
    assert found(state_of(adam((5, 2))), None).shape == (5, 2)


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("adafactor", "not Adam but adafactor: its second moments are factored"),
        ("sgd", "not Adam but sgd: it has no second moment"),
        ("lion", "not Adam but lion: it has no second moment"),
        ("projected", "projected or rotated gradients"),
        ("unknown", "its state holds exp_avg, exp_avg_sq, step"),
    ],
)
def test_optimizers_that_are_not_adam(family: str, expected: str) -> None:
    state = state_of(adam(), family)
    assert expected in reason(state)
    assert not has_moments(state)


def test_a_parameter_that_the_optimizer_does_not_know() -> None:
    found_reason = moments_of(state_of(adam()), "v", (4, 3))
    assert found_reason == "the optimizer holds no state for it (by name)"


def test_before_the_first_step() -> None:
    assert reason(replace(state_of(adam()), state={})) == NOT_STEPPED
    assert reason(state_of(adam(steps=0))) == NOT_STEPPED
    assert not has_stepped(state_of(adam(steps=0)), "w")
    assert has_stepped(state_of(adam(steps=1)), "w")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"exp_avg_sq_row": (4, 1), "exp_avg_sq_col": (1, 3)}, "means over rows and over columns"),
        ({"vmean": (4,)}, "one number a block (Adam-mini)"),
        ({"exp_avg": (4, 3)}, "no second moment of each weight"),
    ],
)
def test_states_without_exp_avg_sq(keys: dict[str, tuple[int, ...]], expected: str) -> None:
    entries = {key: torch.ones(shape) for key, shape in keys.items()}
    assert expected in reason(state_of({"step": torch.tensor(3.0), **entries}))


def test_second_moments_of_another_shape() -> None:
    compressed, other = adam(), adam((3, 4))
    compressed["exp_avg_sq"] = torch.ones(4, 1)
    assert reason(state_of(compressed)) == (
        "its second moment is compressed already: (4, 1) for (4, 3)"
    )
    assert reason(state_of(other)) == "its second moment has another shape: (3, 4) for (4, 3)"


@pytest.mark.parametrize("beta2", [0.0, 0.9, 0.999])
@pytest.mark.parametrize("steps", [1, 2, 10, 3000])
def test_effective_samples_by_their_sum(beta2: float, steps: int) -> None:
    weights = [(1 - beta2) * beta2**i for i in range(steps)]
    expected = sum(weights) ** 2 / sum(w * w for w in weights)
    assert effective_samples(beta2, steps) == pytest.approx(expected, rel=1e-9)


def test_nothing_is_read_before_it_is_asked_for() -> None:
    def never() -> Tensor:
        raise AssertionError("read")

    lazy = Entry((4, 3), "float32", never)
    held = {"w": {"step": entry(torch.tensor(3.0)), "exp_avg": lazy, "exp_avg_sq": lazy}}
    assert found(replace(state_of(adam()), state=held)).n_eff > 2


@pytest.mark.parametrize(
    "betas", [(0.9, 0.95, 0.99), (0.9,), (0.9, 1.0), (1.5, 0.9), (-0.1, 0.9), "x", None, 0.9]
)
def test_betas_that_are_no_two_shares_are_said_and_not_taken_for_adams(betas: object) -> None:
    """Adan and AdEMAMix have three, whose averages are others; a hostile file may hold anything."""
    told = reason(state_of(adam(), betas=betas))
    assert "betas of its optimizer are no two shares" in told
    assert len(told) < 150


@pytest.mark.parametrize("steps", [math.nan, -3.0])
def test_a_number_of_steps_that_is_none_is_said(steps: float) -> None:
    assert reason(state_of(adam(steps=steps))) == f"its number of steps is {steps:g}"
    several = {**adam(), "step": torch.tensor([1.0, 2.0])}
    assert reason(state_of(several)) == "its number of steps is nan"
