"""OUI against its closed forms, and against all pairs one by one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import nn

from dyntools.measuring import measure
from dyntools.metrics import find
from tests.metrics.activations.probes import classified, through

OUI = find("oui")


def test_all_pairs_are_those_one_by_one() -> None:
    x = torch.randn(11, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = measure(through(nn.ReLU(), x.split(4)), OUI)
    mask = (x > 0).flatten(1).numpy()
    pairs = [float((mask[i] != mask[j]).mean()) for i, j in combinations(range(11), 2)]
    assert found.coords["layer"] == ("function",)
    assert found.values[0] == pytest.approx(2 * np.mean(pairs), rel=1e-12)
    assert found.beside["outputs"][0] == 15
    assert found.beside["model"][0] == found.values[0]


def test_the_papers_form_of_few_examples_is_clamped_over_all_pairs() -> None:
    x = torch.randn(7, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = measure(through(nn.GELU(), [x]), OUI)
    mask = (x > 0).numpy()
    pairs = [min((mask[i] != mask[j]).sum(), 4) / 4 for i, j in combinations(range(7), 2)]
    assert found.beside["pairs"][0] == pytest.approx(np.mean(pairs), rel=1e-12)


@pytest.mark.parametrize("rho", [0.3, 0.8])
def test_arccos_law(rho: float) -> None:
    """Units whose inputs are Gaussian with correlation ρ between examples: 2 arccos(ρ)/π."""
    generator = torch.Generator().manual_seed(2)
    shared = torch.randn(1, 4000, generator=generator, dtype=torch.float64)
    own = torch.randn(40, 4000, generator=generator, dtype=torch.float64)
    x = rho**0.5 * shared + (1 - rho) ** 0.5 * own
    found = measure(through(nn.Tanh(), [x]), OUI)
    assert found.values[0] == pytest.approx(2 * np.arccos(rho) / np.pi, abs=0.015)
    assert found.beside["pairs"][0] == pytest.approx(found.values[0], abs=0.01)


def test_law_of_p_within_its_error() -> None:
    """Independent units, each on with probability p: 4 p (1 - p); the error tells the spread."""
    p, off = 0.2, []
    for seed in range(20):
        uniform = torch.rand(64, 50, generator=torch.Generator().manual_seed(seed)).double()
        found = measure(through(nn.ReLU(), [p - uniform]), OUI)
        assert found.error is not None
        off.append((found.values[0] - 4 * p * (1 - p)) / found.error[0])
    assert abs(np.mean(off)) < 1.0
    assert 0.5 < np.std(off) < 2.0


def test_functions_without_a_sign_and_one_example_are_told() -> None:
    x = torch.randn(6, 4, dtype=torch.float64)
    assert measure(through(nn.Sigmoid(), [x]), OUI).skipped["function"].startswith("its outputs")
    assert "one only" in measure(through(nn.ReLU(), [x[:1]]), OUI).skipped["function"]
    none = measure(classified(x, torch.zeros(6, dtype=torch.int64), 6), OUI)
    assert "no activation function" in none.skipped[""]


@pytest.mark.parametrize("time", [8, 12, 13])
def test_time_first_is_refused_whatever_its_length(time: int) -> None:
    """Parts of (T, b, …) were taken for examples where T was a multiple of b."""
    x = torch.randn(4, time, 3, dtype=torch.float64)
    turned = measure(through(nn.Sequential(Turned(), nn.ReLU(), Turned()), [x]), OUI)
    assert np.isnan(turned.values).all()
    assert "does not count the examples" in turned.skipped["function.1"]
    plain = measure(through(nn.ReLU(), [x]), OUI)
    alone = measure(through(nn.Sequential(Turned(), nn.ReLU(), Turned()), x.split(1)), OUI)
    assert alone.values[0] == plain.values[0] > 0.0  # pieces of one example need no axis


class Turned(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.transpose(0, 1)


def test_of_an_odd_number_of_outputs_the_papers_form_is_larger() -> None:
    """d = 3 and two examples that differ at one output: 1/1.5, and 1/⌊1.5⌋ of the paper."""
    x = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, -1.0]], dtype=torch.float64)
    found = measure(through(nn.ReLU(), [x]), OUI)
    assert found.values[0] == pytest.approx(2 / 3)
    assert found.beside["pairs"][0] == 1.0


def test_examples_of_different_length_are_refused() -> None:
    batches = [torch.randn(2, 4, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)]
    assert "different numbers" in measure(through(nn.ReLU(), batches), OUI).skipped["function"]
