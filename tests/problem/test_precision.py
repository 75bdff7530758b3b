"""Models that say float32 stay in float64 where they are asked to."""

from __future__ import annotations

import torch
from torch import nn

from dyntools.problem.precision import without_downcasts


class RMSNorm(nn.Module):
    """As in Llama: in float32 whatever comes in."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.to(torch.float32)
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True).float())
        return torch.softmax(y, dim=-1, dtype=torch.float32).to(x.dtype)


def test_float64_is_kept_and_float32_is_as_before() -> None:
    x = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    exact = torch.softmax(x / x.pow(2).mean(-1, keepdim=True).sqrt(), dim=-1)
    assert 1e-9 < (RMSNorm()(x) - exact).abs().max() < 1e-6  # without it, it is rounded
    with without_downcasts(torch.float64):
        assert (RMSNorm()(x) - exact).abs().max() < 1e-15
    with without_downcasts(torch.float32):
        single = RMSNorm()(x.float())
    assert single.dtype == torch.float32
    assert torch.equal(single, RMSNorm()(x.float()))
