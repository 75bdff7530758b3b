"""Dormant, dead and saturated units of outputs written down by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dyntools.measuring import measure
from dyntools.metrics import find
from tests.metrics.activations.probes import through

DORMANT = find("dormant_units")


def outputs(positions: int = 1) -> Tensor:
    """(8, 4, positions): mean sizes 0, 0.02, 0.2 and 3.78, so scores 0, 0.02, 0.2 and 3.78."""
    sizes = torch.tensor([-1.0, 0.02, 0.2, 3.78], dtype=torch.float64)
    return sizes[None, :, None].expand(8, 4, positions).clone()


def test_scores_against_both_thresholds() -> None:
    found = measure(through(nn.ReLU(), outputs()[..., 0].split(3)), DORMANT)
    assert found.values[0] == 0.5
    assert measure(through(nn.ReLU(), [outputs()[..., 0]]), DORMANT, tau=0.01).values[0] == 0.25
    beside = {name: array[0] for name, array in found.beside.items()}
    assert beside["at_0.1"] == 0.5
    assert beside["dead"] == 0.25
    assert beside["active"] == 0.75
    assert beside["units"] == 4


def test_channels_are_units_behind_a_convolution() -> None:
    convolution = nn.Conv1d(4, 4, 1, bias=False).double()
    with torch.no_grad():
        convolution.weight.copy_(torch.eye(4, dtype=torch.float64)[..., None])
    found = measure(through(nn.Sequential(convolution, nn.ReLU()), [outputs(6)]), DORMANT)
    assert found.beside["units"][0] == 4
    assert found.values[0] == 0.5


def test_saturation_counts_outputs_near_a_bound() -> None:
    x = torch.tensor([[0.0, 5.0], [0.5, -5.0], [5.0, 1.0], [0.1, 0.2]], dtype=torch.float64)
    found = measure(through(nn.Tanh(), [x]), DORMANT)
    assert found.beside["saturated"][0] == pytest.approx(3 / 8)
    assert torch.isnan(torch.tensor(found.beside["dead"][0]))
