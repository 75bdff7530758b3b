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
from dyntools.problem import Problem
from dyntools.recipe import Recipe
from dyntools.snapshot import Snapshot
from tests.metrics.gradients.known_noise import by_hand, springs
from tests.problems import Array, snapshot_of

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
            told.append(float(measure(snapshot, "gap_growth", lr=rate, rule="sgd").values))
    error = np.std(gaps) / np.sqrt(len(gaps))
    assert abs(np.mean(gaps) - rate * TRACE / examples) < 3 * error
    assert np.mean(told) == pytest.approx(rate * TRACE / examples, rel=0.1)
    more = measure(
        replace(snapshot, _computed={}), "gap_growth", lr=rate, rule="sgd", examples=5000
    )
    assert float(more.values) == pytest.approx(told[-1] / 100)
    of_recipe = replace(snapshot, recipe=Recipe(dataset_size=2500), _computed={})
    of_run = measure(of_recipe, "gap_growth", lr=rate, rule="sgd")
    assert float(of_run.values) == pytest.approx(told[-1] / 50)
    assert float(of_run.beside["examples"]) == 2500
    asked = measure(of_recipe, "gap_growth", lr=rate, rule="sgd", examples=5000)
    assert float(asked.values) == pytest.approx(told[-1] / 100)


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


def after_equal_gradients(problem: Problem, steps: int) -> tuple[torch.optim.Adam, Array]:
    """Adam after steps that all had one gradient g, so that m̂ = g; and P = -η g / (last step)."""
    x = problem.model.x
    adam, g = torch.optim.Adam([x], lr=1e-3, eps=1e-2), torch.linspace(0.1, 1, 20).double()
    for _ in range(steps):
        before, x.grad = x.detach().clone(), g.clone()
        adam.step()
    moved = (x.detach() - before).numpy()
    with torch.no_grad():
        x.copy_(torch.from_numpy(AT))
    return adam, -1e-3 * g.numpy() / moved


@pytest.mark.parametrize("steps", [1, 3, 200])
def test_under_adam_what_its_own_steps_divide_by_counts(steps: int) -> None:
    """P as torch's last step tells it, not the state: early steps are not shorter by 1-β1^t."""
    problem, here = springs(points(400), AT), points(400)
    adam, p = after_equal_gradients(problem, steps)
    snapshot = snapshot_of(problem, optimizer=adam)
    variance, mean = here.var(0, ddof=1), AT - here.mean(0)
    trace, length = (variance / p).sum(), (mean**2 / p).sum()
    found = measure(snapshot, "noise_scale")
    truth = trace / (length - trace / 400)
    assert float(found.beside["preconditioned"]) == pytest.approx(truth, rel=1e-6)
    assert float(found.beside["preconditioned_error"]) > 0
    gap = measure(snapshot, "gap_growth")
    assert float(gap.values) == pytest.approx(1e-3 * trace / 400, rel=1e-6)
    assert float(gap.beside["sgd"]) == pytest.approx(1e-3 * variance.sum() / 400, rel=1e-9)
    assert "Adam" in gap.method
    sgd = measure(snapshot, "gap_growth", rule="sgd")
    assert float(sgd.values) == pytest.approx(float(gap.beside["sgd"]), rel=1e-12)


def test_steps_that_are_not_known_are_not_taken_for_those_of_sgd() -> None:
    """Else one series would be of SGD where Adam has no state yet, and of Adam behind it."""
    problem = springs(points(50), AT)
    params = list(problem.model.parameters())
    fresh = torch.optim.Adam(params, lr=0.1)
    without = (
        (snapshot_of(problem), "no state"),
        (snapshot_of(problem, optimizer=fresh), "second moments"),
    )
    for snapshot, words in without:
        found = measure(snapshot, "gap_growth", lr=0.1)
        assert found.status == Status.skipped
        assert np.isnan(found.values)
        assert words in found.skipped[""]
        assert "rule=sgd" in found.skipped[""]
        assert float(found.beside["sgd"]) > 0.0
        asked = measure(snapshot, "gap_growth", lr=0.1, rule="sgd")
        assert float(asked.values) == float(found.beside["sgd"])
    sgd = snapshot_of(problem, optimizer=torch.optim.SGD(params, lr=0.1))
    assert float(measure(sgd, "gap_growth").values) == float(asked.values)


def test_a_schedule_that_has_ended_has_no_next_step() -> None:
    problem = springs(points(50), AT)
    ended = torch.optim.SGD(problem.model.parameters(), lr=0.0)
    found = measure(snapshot_of(problem, optimizer=ended), "gap_growth")
    assert found.status == Status.skipped
    assert np.isnan(found.values)
    assert "rate of the next step is zero" in found.skipped[""]
    assert float(found.beside["learning_rate"]) == 0.0


def test_gradients_that_are_not_finite_bound_nothing() -> None:
    """At a later step; a problem that begins so is refused."""
    problem = springs(points(50), AT)
    assert measure(snapshot_of(problem), "noise_scale").status == Status.ok
    with torch.no_grad():
        problem.model.x[1] = math.nan
    snapshot = snapshot_of(problem)
    for name in ("noise_scale", "norm_test"):
        found = measure(snapshot, name)
        assert found.status == Status.failed
        assert "NaN or infinite" in found.skipped[""]
        assert np.isnan([found.beside["lowest"], found.beside["highest"]]).all()
    assert measure(snapshot, "gap_growth", lr=0.1, rule="sgd").status == Status.failed
