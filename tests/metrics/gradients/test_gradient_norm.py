"""gradient_norm and gradient_rank: gradients made by hand, and whose they are."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from dyntools.linalg import marchenko_pastur
from dyntools.measurement import Measurement, Status
from dyntools.measuring import measure
from dyntools.metrics.gradients.source import PROBE
from dyntools.problem import Problem
from dyntools.snapshot import Snapshot, Tensors
from tests.problems import classifier, dense, params_of, snapshot_of


def made(weights: dict[str, Tensor], gradients: dict[str, Tensor]) -> Snapshot:
    return Snapshot(0, Tensors.of(weights), gradients=Tensors.of(gradients))


def row(found: Measurement, name: str) -> dict[str, float]:
    i = found.coords["layer"].index(name)  # type: ignore[arg-type]
    return {"value": float(found.values[i]), **{k: float(a[i]) for k, a in found.beside.items()}}


def test_lengths_shares_and_ratios() -> None:
    weights = {"a": torch.full((4,), 1.0), "b": torch.full((2, 2), 3.0), "c": torch.zeros(1)}
    gradients = {
        "a": torch.tensor([3.0, 0, 0, 4]),
        "b": torch.zeros(2, 2),
        "c": torch.tensor([12.0]),
    }
    found = measure(made(weights, gradients), "gradient_norm")
    a, b, c = (row(found, name) for name in "abc")
    assert (a["value"], b["value"], c["value"]) == (5.0, 0.0, 12.0)
    assert a["global"] == c["global"] == 13.0
    assert a["rms"] == 2.5
    assert a["share"] == pytest.approx(25 / 169)
    assert a["lars"] == pytest.approx(2 / 5)
    assert math.isnan(b["lars"])  # no gradient
    assert math.isnan(c["lars"])  # no weight
    assert a["spread"] == 1.0
    assert found.method == ""


def test_the_spread_is_against_the_median_tensor() -> None:
    weights = {name: torch.ones(1) for name in "abc"}
    gradients = {n: torch.tensor([g]) for n, g in zip("abc", (1.0, 2.0, 8.0), strict=True)}
    found = measure(made(weights, gradients), "gradient_norm")
    assert [row(found, name)["spread"] for name in "abc"] == [2.0, 1.0, 0.25]


def test_of_the_problem_where_training_has_none() -> None:
    problem = classifier()
    found = measure(snapshot_of(problem), "gradient_norm")
    params = list(problem.model.parameters())
    total = sum(
        len(x) / 48 * problem.loss(problem.model(x), (x, y))
        for x, y in problem.batches  # type: ignore[misc]
    )
    gradients = torch.autograd.grad(total, params)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.values, [float(g.norm()) for g in gradients], rtol=1e-12)
    assert found.method == PROBE
    assert dense(problem).shape == (sum(p.numel() for p in params),) * 2


def test_what_is_missing_or_not_finite_keeps_its_place() -> None:
    weights = {
        "a": torch.ones(2),
        "b": torch.ones(2),
        "c": torch.tensor([math.nan]),
        "d": torch.ones(1),
    }
    gradients = {"a": torch.tensor([math.inf, 0]), "c": torch.ones(1), "d": torch.ones(1)}
    found = measure(made(weights, gradients), "gradient_norm")
    assert found.coords["layer"] == ("a", "b", "c", "d")
    assert found.status.tolist() == [Status.failed, Status.skipped, Status.failed, Status.ok]
    assert "zero_grad" in found.skipped["b"]
    assert {"a", "b", "c"} == set(found.skipped)


def test_rank_and_energy_of_known_singular_values() -> None:
    generator = torch.Generator().manual_seed(0)
    u, v = (
        torch.linalg.qr(torch.randn(n, 8, generator=generator, dtype=torch.float64)).Q
        for n in (12, 8)
    )
    s = torch.tensor([4.0, 2, 2, 1, 1, 0.5, 0, 0], dtype=torch.float64)
    gradients = {"w": (u * s) @ v.T, "one": torch.outer(u[:, 0], v[:, 0]), "b": torch.ones(3)}
    weights = {name: torch.ones_like(g) for name, g in gradients.items()}
    found = measure(made(weights, gradients), "gradient_rank")
    w, one = row(found, "w"), row(found, "one")
    p = s[:6] / s.sum()
    assert w["value"] == pytest.approx(float(torch.exp(-(p * p.log()).sum())), rel=1e-9)
    energy = float((s**2).sum())
    assert w["top1"] == pytest.approx(16 / energy)
    assert w["quarter"] == pytest.approx(20 / energy)
    assert w["top4"] == pytest.approx(25 / energy)
    assert w["rank90"] == 3
    assert w["null"] == marchenko_pastur.effective_rank(12, 8)
    assert one["value"] == pytest.approx(1.0, abs=1e-6)
    assert one["top1"] == pytest.approx(1.0)
    assert "b" in found.skipped


def test_a_gradient_of_zero_has_no_rank() -> None:
    found = measure(made({"w": torch.ones(3, 3)}, {"w": torch.zeros(3, 3)}), "gradient_rank")
    assert found.status.tolist() == [Status.failed]
    assert found.skipped["w"] == "its gradient is zero"


def test_rank_of_noise_is_that_of_a_random_matrix() -> None:
    noise = torch.randn(300, 200, generator=torch.Generator().manual_seed(1))
    found = measure(made({"w": noise}, {"w": noise}), "gradient_rank")
    assert found.values[0] == pytest.approx(found.beside["null"][0], rel=0.01)
    assert params_of(classifier()).keys() == {"0.weight", "0.bias", "2.weight", "2.bias"}


def test_the_rank_of_a_gradient_made_here_claims_no_error_but_in_float64() -> None:
    """In float32 it is off by its own rounding, far more than the spectrum's error allows."""
    exact = measure(snapshot_of(classifier()), "gradient_rank")
    single = measure(snapshot_of(in_float32(classifier())), "gradient_rank")
    assert exact.error is not None
    assert single.error is not None
    assert (exact.error > 0).all()
    off = np.abs(single.values - exact.values)
    assert (off < 1e-4).all()
    assert (off > 100 * exact.error).any()
    assert np.isnan(single.error).all()
    noise = torch.randn(30, 20, generator=torch.Generator().manual_seed(1))
    held = measure(made({"w": noise}, {"w": noise}), "gradient_rank")
    assert held.error[0] > 0  # type: ignore[index]


def in_float32(problem: Problem) -> Problem:
    batches = [(x.float(), y) for x, y in problem.batches]  # type: ignore[misc]
    engine = replace(problem.engine, dtype=torch.float32)
    return Problem(copy.deepcopy(problem.model).float(), batches, problem.loss, engine=engine)
