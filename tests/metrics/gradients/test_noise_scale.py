"""noise_scale, norm_test and gap_growth: known covariance, and what they say without a number."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from dyntools.log import Curve, Log, Role
from dyntools.measurement import Status
from dyntools.measuring import measure
from dyntools.metrics.gradients import noise
from dyntools.recipe import Recipe
from dyntools.snapshot import Snapshot
from tests.metrics.gradients.known_noise import by_hand, springs
from tests.problems import Array, snapshot_of, trained

WIDTHS, AT = np.linspace(0.5, 2.0, 20), np.full(20, 0.8)
TRACE, SQUARED = float((WIDTHS**2).sum()), float((AT**2).sum())


def points(examples: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(examples, 20)) * WIDTHS


def test_the_scale_of_known_noise() -> None:
    found = measure(snapshot_of(springs(points(3000), AT)), "noise_scale", batch=64)
    value, error = float(found.values), float(found.error)  # type: ignore[arg-type]
    beside = {name: float(array) for name, array in found.beside.items()}
    assert abs(value - TRACE / SQUARED) < 4 * error
    assert error < 0.05 * value
    assert beside["trace"] == pytest.approx(TRACE, rel=0.05)
    assert beside["squared_norm"] == pytest.approx(SQUARED, rel=0.05)
    assert beside["two_sizes"] == pytest.approx(value, rel=0.5)
    assert beside["lowest"] < value < beside["highest"]
    assert (beside["examples"], beside["batch"]) == (3000, 64)
    here = AT - points(3000).mean(0)
    assert beside["of_these"] == pytest.approx(points(3000).var(0, ddof=1).sum() / (here @ here))
    assert math.isnan(beside["preconditioned"])
    assert "3000 examples" in found.method


def test_the_batch_of_the_recipe_is_taken_where_none_is_set() -> None:
    snapshot = snapshot_of(springs(points(60), AT))
    told = replace(snapshot, recipe=Recipe(batch_size=48), _computed={})
    assert math.isnan(measure(snapshot, "noise_scale").beside["batch"])
    assert float(measure(told, "noise_scale").beside["batch"]) == 48
    assert float(measure(told, "noise_scale", batch=16).beside["batch"]) == 16


def test_all_noise_is_said_and_bounded() -> None:
    here = np.random.default_rng(1).normal(size=(40, 20)) * WIDTHS
    found = measure(snapshot_of(springs(here, here.mean(0))), "noise_scale")  # no mean at all
    assert found.status == Status.failed
    assert np.isnan(found.values)
    assert "more of them" in found.skipped[""]
    assert float(found.beside["lowest"]) > 0 or np.isnan(found.beside["lowest"])
    assert np.isnan(found.beside["of_these"]) or float(found.beside["of_these"]) > 1e20
    test = measure(snapshot_of(springs(here, here.mean(0))), "norm_test")
    assert test.status == Status.failed


def test_the_norm_test_asks_for_the_scale_over_theta_squared() -> None:
    snapshot = snapshot_of(springs(points(3000), AT))
    scale = measure(snapshot, "noise_scale")
    for theta in (0.5, 1.0):
        found = measure(snapshot, "norm_test", theta=theta)
        assert float(found.values) == pytest.approx(float(scale.values) / theta**2)
    # A batch of that size is off by half a length on average.
    batch = round(float(measure(snapshot, "norm_test", theta=0.5).values))
    generator = np.random.default_rng(2)
    off = [generator.normal(size=(batch, 20)) * WIDTHS for _ in range(2000)]
    mean = np.mean([(part.mean(0) ** 2).sum() for part in off])
    assert mean == pytest.approx(0.25 * SQUARED, rel=0.1)


def test_the_inner_product_asks_for_the_spread_along_the_mean_alone() -> None:
    found = [noise.along_mean(by_hand(points(3000, s), AT)) for s in range(40)]
    along, squares = np.mean(found, axis=0)
    assert along == pytest.approx(float((AT**2 * WIDTHS**2).sum()), rel=0.2)
    assert squares == pytest.approx(float((WIDTHS**4).sum()), rel=0.2)
    one = noise.along_mean(by_hand(points(3000), AT))[0]
    told = measure(snapshot_of(springs(points(3000), AT)), "norm_test", theta=1)
    assert float(told.beside["inner_product"]) == pytest.approx(one / SQUARED**2, rel=1.5)


def test_the_gap_grows_by_the_trace() -> None:
    """One step on N fresh examples lowers their loss by η tr Σ / N more than that of the world.

    For springs the terms of second order in η are the same for both, so this is exact.
    """
    rate, examples = 0.05, 50
    gaps, told = [], []
    for seed in range(400):
        here = points(examples, seed)
        g_here, g_world = AT - here.mean(0), AT
        gaps.append(rate * float(g_here @ g_here - g_here @ g_world))
        if seed < 5:
            snapshot = snapshot_of(springs(here, AT))
            told.append(float(measure(snapshot, "gap_growth", lr=rate).values))
    error = np.std(gaps) / np.sqrt(len(gaps))
    assert abs(np.mean(gaps) - rate * TRACE / examples) < 3 * error
    assert np.mean(told) == pytest.approx(rate * TRACE / examples, rel=0.1)
    more = measure(snapshot_of(springs(points(examples), AT)), "gap_growth", lr=rate, examples=5000)
    assert float(more.values) == pytest.approx(told[0] / 100)


def test_the_rate_is_that_of_the_optimizer_or_of_the_log() -> None:
    problem = springs(points(50), AT)
    silent = measure(snapshot_of(problem), "gap_growth")
    assert silent.status == Status.skipped
    assert "gap_growth:lr" in silent.skipped[""]
    sgd = torch.optim.SGD(problem.model.parameters(), lr=0.3)
    assert (
        float(measure(snapshot_of(problem, optimizer=sgd), "gap_growth").beside["learning_rate"])
        == 0.3
    )
    curve = Curve("lr", np.arange(3), np.array([0.1, 0.2, 0.4]), "step", None, "log")
    log = Log(("log",), ("jsonl",), {"lr": curve}, {Role.learning_rate: "lr"}, ())
    bare = snapshot_of(problem)
    logged = Snapshot(2, bare.params, problem=problem, log=log)
    assert float(measure(logged, "gap_growth").beside["learning_rate"]) == pytest.approx(0.4)


def test_under_adam_its_preconditioner_counts() -> None:
    """P = (√v̂ + eps)(1-β1^t) of the state itself, in float64 by hand."""
    problem = springs(points(400), AT)
    adam = torch.optim.Adam(problem.model.parameters(), lr=1e-3)
    trained(problem, adam, 3)
    snapshot = snapshot_of(problem, optimizer=adam)
    (state,) = adam.state.values()
    p = (torch.sqrt(state["exp_avg_sq"] / (1 - 0.999**3)) + 1e-8) * (1 - 0.9**3)
    variance = points(400).var(0, ddof=1)
    mean = problem.model.x.detach().numpy() - points(400).mean(0)
    trace, length = (variance / p.numpy()).sum(), (mean**2 / p.numpy()).sum()
    found = measure(snapshot, "noise_scale")
    truth = trace / (length - trace / 400)
    assert float(found.beside["preconditioned"]) == pytest.approx(truth, rel=1e-9)
    assert float(found.beside["preconditioned_error"]) > 0
    gap = measure(snapshot, "gap_growth")
    assert float(gap.values) == pytest.approx(1e-3 * trace / 400, rel=1e-9)
    assert float(gap.beside["sgd"]) == pytest.approx(1e-3 * variance.sum() / 400, rel=1e-9)
    assert "Adam" in gap.method
