"""Alignment of matrices whose exponent is known, and against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, mse_loss

from dyntools.activations.alignment import aligned, null_of
from dyntools.activations.patterns import drawn_groups
from dyntools.live import snapshot_of
from dyntools.measurement import Measurement
from dyntools.measuring import measure
from dyntools.metrics import find
from dyntools.problem import Problem
from dyntools.snapshot import Snapshot
from tests.metrics.activations.probes import FLOAT64

ALIGNMENT = find("alignment")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def snapshot(model: nn.Module, x: Tensor, cut: int = 10, **known: Snapshot) -> Snapshot:
    problem = Problem(
        model, list(x.split(cut)), lambda z, _: mse_loss(z, torch.zeros_like(z)), engine=FLOAT64
    )
    return snapshot_of(model, 5, problem=problem, **known)


def of_matrix(weight: Tensor, x: Tensor) -> Measurement:
    layer = nn.Linear(x.shape[-1], len(weight)).double()
    layer.weight.data = weight
    return measure(snapshot(nn.Sequential(layer), x), ALIGNMENT)


def by_numpy(weight: Tensor, rows: Tensor) -> float:
    w, z = weight.numpy(), rows.numpy()

    def rms(values: np.ndarray) -> float:
        return float(np.sqrt(np.mean(np.square(values))))

    return math.log(rms(z @ w.T) / (rms(w) * rms(z))) / math.log(z.shape[1])


def test_a_random_matrix_has_one_half_and_one_along_its_inputs_has_one() -> None:
    x = normal(30, 200)
    found = of_matrix(normal(300, 200, seed=1), x)
    assert found.values[0] == pytest.approx(0.5, abs=0.005)
    assert found.beside["fan_in"][0] == 200
    z = normal(200, seed=2)
    along = of_matrix(torch.outer(normal(7, seed=3), z), z.expand(16, 200).clone())
    assert along.values[0] == pytest.approx(1.0, abs=1e-12)
    assert along.error is not None
    assert along.error[0] == pytest.approx(0.0, abs=1e-12)


def test_an_orthogonal_matrix_has_one_half_exactly() -> None:
    q = torch.linalg.qr(normal(20, 20)).Q
    assert of_matrix(3 * q, normal(40, 20, seed=1)).values[0] == pytest.approx(0.5, abs=1e-12)


def test_against_numpy_on_rows_that_are_not_centred() -> None:
    x = normal(40, 6) + 2.0
    weight = normal(5, 6, seed=1) + 0.3
    found = of_matrix(weight, x)
    assert found.values[0] == pytest.approx(by_numpy(weight, x), rel=1e-12)
    groups = drawn_groups(40).numpy()
    without = [by_numpy(weight, x[torch.from_numpy(groups != g)]) for g in range(8)]
    assert found.error is not None
    assert found.error[0] == pytest.approx(np.sqrt(7 * np.var(without)), rel=1e-9)


def test_the_error_is_the_spread_over_samples_of_examples() -> None:
    scales = torch.linspace(0.1, 3.0, 12, dtype=torch.float64)
    weight, off = normal(4, 12) * scales, []
    expected = by_numpy(weight, normal(100_000, 12, seed=1) * scales)
    for seed in range(30):
        z, groups = normal(64, 12, seed=10 + seed) * scales, torch.arange(64) * 8 // 64
        found = aligned(weight, z, groups)
        assert found is not None
        off.append((found.value - expected) / found.error)
    assert abs(np.mean(off)) < 0.8
    assert 0.6 < np.std(off) < 1.6


@pytest.mark.parametrize(("fan_out", "rows"), [(1, 1), (10, 1), (3, 40)])
def test_null_is_that_of_random_matrices(fan_out: int, rows: int) -> None:
    z, groups = normal(rows, 64) + 1.0, torch.zeros(rows, dtype=torch.int64)
    drawn = [aligned(normal(fan_out, 64, seed=s), z, groups) for s in range(400)]
    values = [found.value for found in drawn if found is not None]
    null = null_of(z, fan_out)
    assert len(values) == 400
    assert np.mean(values) == pytest.approx(null.value, abs=4 * null.spread / 20)
    assert np.std(values) == pytest.approx(null.spread, rel=0.2)


class Tied(nn.Module):
    """A product with one of three parts of a matrix, and one with the transposed embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.fused = nn.Embedding(9, 6), nn.Parameter(normal(18, 6))

    def forward(self, index: Tensor) -> Tensor:
        query, _, value = self.fused.chunk(3)
        hidden = linear(linear(self.table(index), value), query)
        return hidden @ self.table.weight.T


def test_change_and_start_of_parts_and_of_tied_embeddings() -> None:
    first, now = Tied().double(), Tied().double()
    with torch.no_grad():
        now.fused += 0.1 * normal(18, 6, seed=4)
        now.table.weight += 1.0
    index = torch.arange(27) % 9
    before = snapshot_of(first, 0)
    found = measure(snapshot(now, index, initial=before), ALIGNMENT)
    assert found.coords["layer"] == ("model", "model#2", "model#3")
    with torch.no_grad():
        x = now.table(index)
        rows = [x, linear(x, now.fused[12:])]
        rows.append(linear(rows[1], now.fused[:6]))
        pairs = [(now.fused[12:], first.fused[12:]), (now.fused[:6], first.fused[:6])]
        pairs.append((now.table.weight, first.table.weight))
        for i, ((weight, start), z) in enumerate(zip(pairs, rows, strict=True)):
            assert found.values[i] == pytest.approx(by_numpy(weight, z), rel=1e-9)
            of_change = found.beside["of_change"][i]
            assert of_change == pytest.approx(by_numpy(weight - start, z), rel=1e-9)
            assert found.beside["of_start"][i] == pytest.approx(by_numpy(start, z), rel=1e-9)


def test_a_frozen_matrix_has_a_value_and_no_change() -> None:
    model = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Linear(8, 4)).double()
    model[0].weight.requires_grad_(False)
    x = normal(16, 8)
    found = measure(snapshot(model, x, initial=snapshot_of(model, 0)), ALIGNMENT)
    assert found.values[0] == pytest.approx(by_numpy(model[0].weight, x), rel=1e-9)
    assert np.isnan(found.beside["of_change"]).all()  # frozen, and not moved
    assert np.isnan(found.beside["of_start"]).tolist() == [True, False]
    alone = measure(snapshot(model, x), ALIGNMENT)
    assert "no earlier initial weights" in alone.method
    assert np.isnan(alone.beside["of_start"]).all()


def test_layers_without_an_exponent_say_why() -> None:
    narrow = of_matrix(normal(3, 1), normal(16, 1))
    assert "fan-in is 1" in narrow.skipped["0"]
    assert (
        "all zero" in of_matrix(torch.zeros(3, 4, dtype=torch.float64), normal(16, 4)).skipped["0"]
    )
    none = measure(snapshot(nn.Conv1d(2, 2, 1).double(), normal(8, 2, 4)), ALIGNMENT)
    assert "no linear layer" in none.skipped[""]


class Own(nn.Module):
    """Its matrix is that of the batch, as the batch statistics allow."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.norm = nn.Parameter(normal(3, 4)), nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        return linear(self.norm(x), self.scale * x.mean())


def test_a_matrix_that_changes_with_the_batch_is_refused() -> None:
    problem = Problem(
        Own().double(),
        [normal(16, 4), normal(16, 4, seed=1)],
        lambda z, _: z.square().mean(),
        mode="train",
        engine=FLOAT64,
    )
    found = measure(snapshot_of(problem.model, 0, problem=problem), ALIGNMENT)
    assert "from batch to batch" in next(iter(found.skipped.values()))
