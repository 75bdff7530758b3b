"""Sparsity: the PQ index of cases in closed form."""

from __future__ import annotations

import math

import pytest
import torch

from dyntools.measurement import Status
from dyntools.metrics.weights.sparsity import GAUSSIAN, measure, pq_index
from tests.matrices import gaussian, snapshot


def test_equal_magnitudes_and_one_alone() -> None:
    assert pq_index(torch.tensor([2.0, -2.0, 2.0]))[0] == pytest.approx(0.0, abs=1e-15)
    assert pq_index(torch.tensor([0.0, 0.0, 5.0, 0.0])) == (0.75, 0.75)


def test_the_definition_with_norms() -> None:
    """I = 1 - d^(1/q - 1/p) |w|_p / |w|_q of the paper, p = 1/2, q = 1."""
    w = gaussian((31, 17), 0).double()
    half, one = w.abs().sqrt().sum() ** 2, w.abs().sum()
    assert pq_index(w)[0] == pytest.approx(1 - w.numel() ** (1 - 2) * float(half / one), rel=1e-12)


def test_gaussian_weights() -> None:
    found = measure(snapshot({"w": gaussian((1000, 1000), 0, scale=0.02)}))
    assert pytest.approx(0.1528, abs=5e-5) == GAUSSIAN
    assert found.values[0] == pytest.approx(GAUSSIAN, abs=1e-3)
    assert found.beside["near_zero"][0] == pytest.approx(1e-3 * math.sqrt(2 / math.pi), rel=0.15)


def test_pruning_raises_it_and_scale_does_not() -> None:
    w = gaussian((100, 100), 0)
    pruned = torch.where(w.abs() < 0.7, 0.0, w)
    assert pq_index(pruned)[0] > pq_index(w)[0] + 0.2
    assert pq_index(1e-20 * w)[0] == pytest.approx(pq_index(w)[0], rel=1e-5)


def test_zero_and_nan_fail_and_biases_are_measured() -> None:
    params = {"z": torch.zeros(3), "n": torch.tensor([math.nan]), "b": torch.ones(4)}
    found = measure(snapshot(params))
    assert found.status.tolist() == [Status.failed, Status.failed, Status.ok]
