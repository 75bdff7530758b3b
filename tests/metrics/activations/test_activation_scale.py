"""Moments against NumPy, and what formats lose against torch's own casts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dyntools.activations.scale import FORMATS, Scale
from dyntools.measuring import measure
from dyntools.metrics import find
from tests.metrics.activations.probes import through

CASTS = {
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp8_e4m3": torch.float8_e4m3fn,
    "fp8_e5m2": torch.float8_e5m2,
}


def test_outputs_that_are_not_finite_warn_nobody() -> None:
    """A run that diverges is what this is for; warnings are errors in these tests."""
    scale = Scale()
    scale.add(torch.tensor([1.0, torch.inf, 2.0]))
    scale.add(torch.tensor([1.0, 2.0]))
    assert scale.largest == np.inf
    assert not np.isfinite(scale.rms)


def test_moments_of_pieces_are_those_of_the_whole() -> None:
    x = 3.0 + torch.randn(90, 7, generator=torch.Generator().manual_seed(0)).double() ** 3
    found = measure(through(nn.ELU(), x.split(40)), find("activation_scale"))
    y = nn.functional.elu(x).numpy()
    assert found.values[0] == pytest.approx(np.sqrt((y**2).mean()), rel=1e-12)
    centred = y - y.mean()
    kurtosis = (centred**4).mean() / (centred**2).mean() ** 2
    assert found.beside["kurtosis"][0] == pytest.approx(kurtosis, rel=1e-10)
    assert found.beside["largest"][0] == np.abs(y).max()


@pytest.mark.parametrize("name", list(FORMATS))
def test_what_is_lost_is_what_torch_casts_to_zero_or_beyond(name: str) -> None:
    form = FORMATS[name]
    edges = [form.zero, form.over, 1.0]
    near = torch.tensor([e * f for e in edges for f in (0.5, 0.999, 1.0, 1.001, 1.9)])
    x = torch.cat([near, -near, torch.tensor([0.0])]).float()
    x = x[x.isfinite()]
    scale = Scale()
    scale.add(x)
    assert scale.lost[name] == int(_lost(x, CASTS[name]).sum())
    assert scale.zeros == int((x == 0).sum())


def _lost(x: Tensor, dtype: torch.dtype) -> Tensor:
    cast = x.to(dtype).float()
    beyond = ~cast.isfinite()
    if dtype == torch.float8_e4m3fn:  # some versions of torch clip; 448 is half a step from 464
        beyond |= (cast.abs() == 448) & (x.abs() - 448 > 16)
    return (x != 0) & ((cast == 0) | beyond)


def test_many_entries_are_an_even_selection_and_the_largest_is_exact() -> None:
    x = torch.randn(400, 256, generator=torch.Generator().manual_seed(1)).double()
    x[123, 45] = 77.0
    found = measure(through(nn.LeakyReLU(1.0), [x]), find("activation_scale"))
    assert found.beside["largest"][0] == 77.0
    assert found.values[0] == pytest.approx(1.0, abs=0.05)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.LSTM(3, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.cells(x)[0][..., :1]  # type: ignore[no-any-return]


def test_of_a_recurrence_it_is_that_of_the_outputs_and_not_of_the_states() -> None:
    """nn.LSTM puts out a pair, and was missing without a word."""
    torch.manual_seed(0)
    model, x = Recurrent(), torch.randn(6, 5, 3, dtype=torch.float64)
    model.double()
    found = measure(through(model, [x]), find("activation_scale"))
    h = model.cells(x)[0].detach().numpy()
    assert found.coords["layer"] == ("function.cells",)
    assert found.values[0] == pytest.approx(np.sqrt((h**2).mean()), rel=1e-12)


class Cleaned(nn.Module):
    """The loss stays finite whatever the activation holds."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.elu(x).nan_to_num()


def test_one_nan_beside_the_selection_fails_whatever_follows() -> None:
    """It was lost: a NaN compares with nothing, so the largest of the next piece took its place."""
    x = torch.ones(1100, 1 << 5, dtype=torch.float64)
    x[0, 1] = torch.nan
    found = measure(through(Cleaned(), x.split(1090)), find("activation_scale"))
    assert np.isnan(found.values[0])
    assert "NaN" in found.skipped["function.elu"]
