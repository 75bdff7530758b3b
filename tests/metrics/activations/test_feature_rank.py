"""Feature rank of features whose spectrum is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dyntools.measurement import Measurement
from dyntools.measuring import measure
from dyntools.metrics import find
from tests.metrics.activations.probes import through


def rank_of(features: Tensor) -> Measurement:
    linear = nn.Linear(features.shape[-1], 3).double()
    return measure(through(linear, features.split(10)), find("feature_rank"))


def test_orthogonal_rows_fill_as_many_directions() -> None:
    found = rank_of(4.0 * torch.eye(24, dtype=torch.float64)[:20])
    assert found.values[0] == pytest.approx(20, rel=1e-9)
    assert found.beside["above"][0] == 20
    assert found.beside["most"][0] == 20


def test_equal_rows_fill_one() -> None:
    found = rank_of(torch.arange(1.0, 7.0, dtype=torch.float64).expand(30, 6).clone())
    assert found.values[0] == pytest.approx(1, abs=1e-6)
    assert np.isnan(found.beside["centred"][0])


def test_against_singular_values_by_numpy() -> None:
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = x * torch.tensor([5.0, 3.0, 1.0, 1.0, 0.5, 0.004], dtype=torch.float64) + 1.0
    found = rank_of(x)
    s = np.linalg.svd(x.numpy(), compute_uv=False)
    p = s / s.sum()
    assert found.values[0] == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-6)
    assert found.beside["above"][0] == (s / np.sqrt(40) > 0.01).sum()
    t = np.linalg.svd((x - x.mean(0)).numpy(), compute_uv=False) ** 2
    for share in (50, 90, 99):
        expected = np.flatnonzero(np.cumsum(t) / t.sum() >= share / 100)[0] + 1
        assert found.beside[f"variance_{share}"][0] == expected


def test_features_that_are_zero_have_no_rank() -> None:
    assert "all zero" in rank_of(torch.zeros(20, 5, dtype=torch.float64)).skipped["function"]
