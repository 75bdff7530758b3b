"""Effective learning rate: the quantiles of a lognormal in closed form, and what has none."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
import torch

from dyntools.measurement import Status
from dyntools.measuring import measure
from tests.matrices import gaussian
from tests.metrics.optimizer.adam_states import adam_snapshot, lognormal

LEVELS = {"q05": 0.05, "q25": 0.25, "q75": 0.75, "q95": 0.95}


def test_dense_reference() -> None:
    v = gaussian((30, 20), 1, 1e-2) ** 2
    found = measure(adam_snapshot({"w": v}, steps=7, lr=0.02, eps=1e-4), "effective_lr")
    rates = 0.02 / (np.sqrt(v.double().numpy() / (1 - 0.999**7)) + 1e-4)
    assert found.values[0] == pytest.approx(np.median(rates), rel=1e-12)
    assert found.beside["largest"][0] == pytest.approx(rates.max(), rel=1e-12)
    assert found.beside["lr"][0] == 0.02
    for name, level in LEVELS.items():
        assert found.beside[name][0] == pytest.approx(np.quantile(rates, level), rel=1e-12)


@pytest.mark.parametrize("eps", [1e-8, 1e-2])
def test_quantiles_of_a_lognormal(eps: float) -> None:
    """lr/(c exp(s z) + eps) falls in z; 40000 values know the 5 % quantile to about 2 %."""
    found = measure(adam_snapshot({"w": lognormal(40000, 1.0, 1e-2)}, eps=eps), "effective_lr")
    for name, level in {**LEVELS, "q50": 0.5}.items():
        size = 1e-2 * math.exp(-NormalDist().inv_cdf(level))
        value = found.values[0] if name == "q50" else found.beside[name][0]
        assert value == pytest.approx(1e-3 / (size + eps), rel=0.04)


def test_without_gradients_the_rate_is_lr_over_eps() -> None:
    found = measure(adam_snapshot({"w": torch.zeros(9)}), "effective_lr")
    assert found.values[0] == pytest.approx(1e-3 / 1e-8)
    assert found.status[0] == Status.ok


def test_a_rate_of_zero_is_a_fact() -> None:
    found = measure(adam_snapshot({"w": torch.ones(9)}, lr=0.0), "effective_lr")
    assert (found.values[0], found.beside["largest"][0], found.status[0]) == (0.0, 0.0, Status.ok)


def test_an_unknown_rate_is_skipped_with_a_sentence() -> None:
    found = measure(adam_snapshot({"w": torch.ones(9)}, lr=None), "effective_lr")
    assert found.status[0] == Status.skipped
    assert "learning rate is not known" in found.skipped["w"]


def test_infinite_rates_and_broken_moments_fail() -> None:
    found = measure(adam_snapshot({"w": torch.tensor([0.0, 1.0])}, eps=0.0), "effective_lr")
    assert found.status[0] == Status.failed
    assert "infinite" in found.skipped["w"]
    broken = measure(adam_snapshot({"w": torch.tensor([math.inf, 1.0])}), "effective_lr")
    assert broken.status[0] == Status.failed
    assert "NaN or inf" in broken.skipped["w"]
