"""What takes no second derivative is measured on models that have none, unless a slope is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dyntools import hdf5
from dyntools.errors import ProblemError
from dyntools.live import snapshot_of
from dyntools.measurement import Status
from dyntools.measuring import measure
from dyntools.problem import Engine, Problem
from tests.conftest import Outcome
from tests.problem.networks import WIDTH, Scaled, classification, risk_at
from tests.small_run import write_small_run

Command = Callable[..., Outcome]
FIRST_ORDER = ("gradient_norm", "noise_scale", "oui", "critical_sharpness", "output_logits")
PROBLEM = '''
import torch
from dyntools import Problem


class Kernel(torch.autograd.Function):
    """x³ by a kernel whose backward cannot be differentiated."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return {slope} * x**2 * gradient


class Activation(torch.nn.Module):
    def forward(self, x):
        return Kernel.apply(torch.relu(x))


def problem():
    network = torch.nn.Sequential(torch.nn.Linear(8, 12), Activation(), torch.nn.Linear(12, 4))
    x = torch.linspace(-1, 1, 24 * 8).view(24, 8).sin()
    batches = [(x, torch.arange(24) % 4)]
    return Problem(network, batches, lambda z, b: torch.nn.functional.cross_entropy(z, b[1]))
'''


def command(folder: Path, slope: float, *metrics: str) -> list[object]:
    run = write_small_run(folder / "run", (0, 10))
    path = folder / "problem.py"
    path.write_text(PROBLEM.replace("{slope}", repr(slope)))
    named = [part for name in metrics for part in ("--metric", name)]
    return ["analyze", run, "--problem", path, *named, "-o", "r.h5"]


def test_a_model_without_a_second_derivative_has_gradients_and_activations(
    dyntools: Command, tmp_path: Path
) -> None:
    asked = (*FIRST_ORDER, "second_moment_snr")
    estimate = ("--estimate-second-moments", "8:batch=4")
    outcome = dyntools(*command(tmp_path, 3.0, *asked), *estimate)
    assert outcome.code == 0, outcome.err
    report = hdf5.read(Path("r.h5"))
    for name in asked:
        assert (report[name].status == Status.ok).any(), name
    stored = torch.load(tmp_path / "run" / "step-00010.pt")["model"]
    weights = {name: w.double().requires_grad_() for name, w in stored.items()}
    x = torch.linspace(-1, 1, 24 * 8).view(24, 8).sin().double()
    hidden = (x @ weights["0.weight"].T + weights["0.bias"]).relu() ** 3
    logits = hidden @ weights["2.weight"].T + weights["2.bias"]
    cross_entropy(logits, torch.arange(24) % 4).backward()
    series = report["gradient_norm"]
    found = dict(zip(series.coords["layer"], series.values[-1], strict=True))
    for name, w in weights.items():
        assert w.grad is not None
        np.testing.assert_allclose(found[name], float(w.grad.norm()), rtol=1e-4)


@pytest.mark.parametrize("metric", ["hessian_top", "loss_slice", "block_sharpness"])
def test_its_products_are_refused_before_anything_is_written(
    dyntools: Command, tmp_path: Path, metric: str
) -> None:
    """Also among metrics that need none."""
    outcome = dyntools(*command(tmp_path, 3.0, "gradient_norm", metric))
    assert outcome.code == 2
    assert "The Hessian-vector products of this model are wrong." in outcome.err
    assert "--hvp differences" in " ".join(outcome.err.split())
    assert not list(Path().glob("r.h5*"))


def test_a_wrong_gradient_is_refused_also_where_no_product_is_taken(
    dyntools: Command, tmp_path: Path
) -> None:
    outcome = dyntools(*command(tmp_path, 2.9, "noise_scale"))
    assert outcome.code == 2
    assert "not the derivative of its loss" in outcome.err
    assert not list(Path().glob("r.h5*"))


class Once(torch.autograd.Function):
    """x³, as above."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 3 * x**2 * gradient


class Kernel(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Once.apply(torch.relu(x))


def without_second_derivative(**engine: Any) -> Problem:
    found = classification(Scaled(Kernel()), WIDTH)
    return replace(found, engine=Engine(dtype=torch.float64, **engine))


def test_the_library_measures_the_same_and_refuses_products_alone() -> None:
    problem = without_second_derivative()
    snapshot = snapshot_of(problem.model, 0, problem=problem)
    for name in ("gradient_norm", "gradient_snr", "oui"):
        found = measure(snapshot, name)
        assert (found.status == Status.ok).any(), found.skipped
    refused = measure(snapshot, "hessian_top")
    assert not (refused.status == Status.ok).any()
    assert "The Hessian-vector products of this model are wrong." in refused.skipped[""]
    by_differences = without_second_derivative(hvp="differences")
    found = measure(snapshot_of(by_differences.model, 0, problem=by_differences), "hessian_top")
    assert (found.status == Status.ok).any(), found.skipped


def test_the_first_product_of_a_part_is_guarded_too() -> None:
    risk = risk_at(without_second_derivative())
    part = risk.part(np.arange(3))
    with pytest.raises(ProblemError, match="products of this model are wrong"):
        part.product(torch.ones(risk.size, dtype=torch.float64))


def test_weights_without_a_finite_loss_leave_the_test_to_the_next_ones() -> None:
    """Else the model would be blamed for a run that diverged; and its products never tested."""
    problem = without_second_derivative()
    fine = snapshot_of(problem.model, 0, problem=problem).risk()
    lost = risk_at(problem)
    lost.theta.fill_(torch.nan)
    ones = torch.ones(lost.size, dtype=torch.float64)
    assert not torch.isfinite(lost.product(ones)).any()
    with pytest.raises(ProblemError, match="products of this model are wrong"):
        fine.product(ones)


class HalfSlope(torch.autograd.Function):
    """x whose backward is half of it, as a straight-through estimator may be."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return 0.5 * gradient


class Halved(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return HalfSlope.apply(x)


def test_a_wrong_backward_is_refused_in_any_engine_and_with_a_remedy() -> None:
    """A float32 engine's batch, cast under the watch, was once taken for a model that rounds."""
    for engine in (Engine(), Engine(hvp="differences"), Engine(dtype=torch.float64)):
        given = replace(classification(Scaled(Halved()), WIDTH), engine=engine)
        with pytest.raises(ProblemError, match="not the derivative of its loss") as caught:
            risk_at(given)
        assert caught.value.remedy
