"""The step of SlimAdamW against float64 formulas, torch's AdamW and torch's Adafactor."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dyntools.optim import SlimAdamW
from dyntools.optim.mean_squares import PIECE, mean_square, row_and_column_means
from tests.optim.references import trained

BIG = (PIECE // 4 // 64 + 7, 64)  # more than a piece of float32


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 30), nn.Tanh(), nn.Linear(30, 8), nn.LayerNorm(8))


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 50) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        out = model(torch.randn(16, 20, generator=generator))
        (out - torch.randn(16, 8, generator=generator)).square().mean().backward()
        optimizer.step()
    return [param.detach() for param in model.parameters()]


@pytest.mark.parametrize("foreach", [True, False])
@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_all_forms_full_is_adamw_to_the_last_bit(
    foreach: bool, maximize: bool, weight_decay: float
) -> None:
    settings: dict[str, Any] = {"lr": 3e-3, "weight_decay": weight_decay, "maximize": maximize}
    theirs, ours = net(), net()
    adamw = torch.optim.AdamW(theirs.parameters(), foreach=foreach, **settings)
    slim = SlimAdamW(ours.named_parameters(), {}, foreach=foreach, **settings)
    for a, b in zip(train(theirs, adamw), train(ours, slim), strict=True):
        assert torch.equal(a, b)


def test_a_tensor_of_many_pieces_is_adamw_to_the_last_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    theirs = nn.Parameter(torch.randn(BIG, generator=generator))
    ours = copy.deepcopy(theirs)
    adamw = torch.optim.AdamW([theirs], foreach=True)
    slim = SlimAdamW([("w", ours)], {})
    for _ in range(3):
        theirs.grad = torch.randn(BIG, generator=generator)
        ours.grad = theirs.grad.clone()
        adamw.step()
        slim.step()
    assert torch.equal(theirs, ours)


@pytest.mark.parametrize("axes", ["axes 0", "axes 1", "axes 0,1", "blocks 4", "factored"])
def test_where_squared_gradients_are_constant_every_form_is_adamw(axes: str) -> None:
    """g = ±c: v is one number, whatever is averaged."""
    generator = torch.Generator().manual_seed(0)
    theirs = nn.Parameter(torch.randn(16, 32, generator=generator, dtype=torch.float64))
    ours = copy.deepcopy(theirs)
    adamw, slim = torch.optim.AdamW([theirs]), SlimAdamW([("w", ours)], {"w": axes})
    for step in range(20):
        sign = torch.randn(16, 32, generator=generator, dtype=torch.float64).sign()
        theirs.grad = sign * (1 + 0.1 * step)
        ours.grad = theirs.grad.clone()
        adamw.step()
        slim.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-13, atol=1e-13)


CASES = [
    *(((6, 8), form) for form in ("full", "axes 0", "axes 1", "axes 0,1", "blocks 3", "factored")),
    *(((4, 3, 2, 2), form) for form in ("axes 1,2,3", "axes 0", "axes 1", "axes 2,3", "axes 0,2")),
    *(((4, 3, 5, 2), form) for form in ("axes 3", "axes 0,1,2,3", "blocks 20", "factored")),
    *(((3, 4, 5), form) for form in ("factored", "axes 0,1")),
    *(((12,), form) for form in ("full", "axes 0", "blocks 4")),
    *(((), form) for form in ("full", "blocks 1")),
    *((BIG, form) for form in ("full", "axes 0", "axes 1", "axes 0,1", "blocks 8", "factored")),
]


@pytest.mark.parametrize(("shape", "form"), CASES, ids=str)
def test_the_float64_formula(shape: tuple[int, ...], form: str) -> None:
    """Uneven gradients with a zero column at first, so that no form is any other's."""
    draw = np.random.default_rng(0)
    start = draw.standard_normal(shape)
    scale = np.exp(draw.standard_normal(shape)) * 1e-3
    grads = [draw.standard_normal(shape) * scale for _ in range(4)]
    if shape:
        grads[0][..., 0] = 0.0
    expected = trained(start, grads, form, lr=0.1, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.2)
    param = nn.Parameter(torch.tensor(start))
    optimizer = SlimAdamW(
        [("w", param)], {"w": form}, lr=0.1, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.2
    )
    for grad in grads:
        param.grad = torch.tensor(grad)
        optimizer.step()
    np.testing.assert_allclose(param.detach().numpy(), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("form", ["axes 0", "blocks 4", "factored"])
def test_parameters_that_are_not_contiguous(form: str) -> None:
    """As a channels-last kernel: blocks are runs of the logical order."""
    draw = np.random.default_rng(0)
    start = draw.standard_normal((4, 3, 2, 5))
    grads = [draw.standard_normal(start.shape) for _ in range(3)]
    settings: dict[str, Any] = {"lr": 0.1, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.0}
    param = nn.Parameter(torch.tensor(start).to(memory_format=torch.channels_last))
    optimizer = SlimAdamW([("w", param)], {"w": form}, **settings)
    for grad in grads:
        param.grad = torch.tensor(grad).to(memory_format=torch.channels_last)
        optimizer.step()
    expected = trained(start, grads, form, **settings)
    np.testing.assert_allclose(param.detach().numpy(), expected, rtol=1e-11, atol=1e-12)


def test_factored_is_the_estimate_of_torch_adafactor() -> None:
    """With β2 the same at each step (Adafactor: 1 - t^decay) the row and column means are equal,
    and so is what the gradient is divided by at the first step, where both are unbiased."""
    generator = torch.Generator().manual_seed(0)
    grad = torch.randn(12, 20, generator=generator, dtype=torch.float64)
    theirs, ours = (nn.Parameter(torch.zeros(12, 20, dtype=torch.float64)) for _ in range(2))
    theirs.grad, ours.grad = grad.clone(), grad.clone()
    # d huge: no clipping; the step of Adafactor is lr max(eps2, rms(p)) = 1e-3 · 1e-3 at p = 0.
    adafactor = torch.optim.Adafactor([theirs], lr=1e-3, d=1e30, eps=(1e-30, 1e-3))
    adafactor.step()
    slim = SlimAdamW([("w", ours)], {"w": "factored"}, 1e-3, (0.0, 0.9), 0.0, 0.0)
    slim.step()
    torch.testing.assert_close(ours / 1e-3, theirs / 1e-6, rtol=1e-10, atol=0)
    state, reference = slim.state[ours], adafactor.state[theirs]
    torch.testing.assert_close(state["exp_avg_sq_row"] / 0.1, reference["row_var"])
    torch.testing.assert_close(state["exp_avg_sq_col"] / 0.1, reference["col_var"])


@pytest.mark.parametrize("form", ["full", "axes 0", "axes 0,1", "blocks 3", "factored"])
def test_small_gradients_and_none_at_all(form: str) -> None:
    """v near 1e-24 is no reason to lose digits; a tensor whose gradients are zero stays put."""
    for size in (1e-12, 0.0):
        param = nn.Parameter(torch.ones(6, 8))
        optimizer = SlimAdamW([("w", param)], {"w": form}, 0.5, eps=1e-20, weight_decay=0.0)
        param.grad = torch.full((6, 8), size)
        optimizer.step()
        moved = 0.5 if size else 1.0
        torch.testing.assert_close(param.detach(), torch.full((6, 8), moved))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("form", ["full", "axes 0", "axes 1", "axes 0,1", "blocks 4", "factored"])
def test_half_precision_sums_neither_overflow_nor_stall(form: str, dtype: torch.dtype) -> None:
    """4096 squares of 10 are more than float16 holds, and each less than bfloat16 can add."""
    param = nn.Parameter(torch.ones(64, 64, dtype=dtype))
    optimizer = SlimAdamW([("w", param)], {"w": form}, 0.5, weight_decay=0.0)
    param.grad = torch.full((64, 64), 10.0, dtype=dtype)
    optimizer.step()
    torch.testing.assert_close(
        param.detach(), torch.full((64, 64), 0.5, dtype=dtype), rtol=0.03, atol=0
    )


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_float32_means_of_many_squares_keep_their_digits(axes: tuple[int, ...]) -> None:
    """A sum of two million squares in order of memory would lose the last three."""
    grad = torch.randn(2048, 1024, generator=torch.Generator().manual_seed(0)).add_(1.0)
    expected = grad.double().square().mean(axes, keepdim=True)
    found = mean_square(grad, axes).double()
    assert ((found - expected).abs() / expected).max() < 2e-6
    rows, columns = row_and_column_means(grad)
    torch.testing.assert_close(
        rows.double(), grad.double().square().mean(1, True), rtol=2e-6, atol=0
    )
    torch.testing.assert_close(
        columns.double(), grad.double().square().mean(0, True), rtol=2e-6, atol=0
    )


@pytest.mark.parametrize(("shape", "form"), CASES, ids=str)
def test_the_way_of_an_accelerator_fits_the_shapes(shape: tuple[int, ...], form: str) -> None:
    """On the meta device, which takes the same branches and computes nothing."""
    param = nn.Parameter(torch.ones(shape, device="meta"))
    param.grad = torch.ones(shape, device="meta")
    SlimAdamW([("w", param)], {"w": form}).step()
