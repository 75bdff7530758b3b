"""What takes no second derivative is measured on models that have none, unless a slope is wrong."""

from __future__ import annotations

import warnings
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
from dyntools.problem.per_example import per_example
from dyntools.problem.second_moments import Estimate, estimated
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
            risk_at(given).gradient()
        assert caught.value.remedy


def straight_through(**engine: Any) -> Problem:
    return replace(classification(Scaled(Halved()), WIDTH), engine=Engine(**engine))


def test_every_road_to_a_gradient_asks_whether_it_is_one() -> None:
    """Products, sums, those of parts and of examples, and those of steps that a probe averages."""
    ones = torch.ones(risk_at(straight_through()).size)
    for road in (
        lambda risk: risk.gradient(),
        lambda risk: risk.gradient(2 * risk.theta),
        lambda risk: risk.part(np.arange(3)).gradient(),
        lambda risk: risk.product(ones),
        lambda risk: risk.part(np.arange(3)).product(ones[: risk.size]),
        per_example,
        lambda risk: per_example(risk.part(np.arange(4))),
        lambda risk: estimated(risk, Estimate(2)),
    ):
        with pytest.raises(ProblemError, match="not the derivative of its loss"):
            road(risk_at(straight_through()))


@pytest.mark.parametrize("slope", [2.9, 3.0])
def test_activations_ask_for_no_gradient(dyntools: Command, tmp_path: Path, slope: float) -> None:
    """Of a straight-through estimator: its outputs are those of the model all the same."""
    outcome = dyntools(*command(tmp_path, slope, "output_logits", "activation_scale"))
    assert outcome.code == 0, outcome.err
    report = hdf5.read(Path("r.h5"))
    stored = torch.load(tmp_path / "run" / "step-00010.pt")["model"]
    w = {name: tensor.double() for name, tensor in stored.items()}
    x = torch.linspace(-1, 1, 24 * 8).view(24, 8).sin().double()
    hidden = (x @ w["0.weight"].T + w["0.bias"]).relu() ** 3
    logits = hidden @ w["2.weight"].T + w["2.bias"]
    want = float(logits.logsumexp(-1).mean())
    assert float(report["output_logits"].values[-1]) == pytest.approx(want, rel=1e-5)


def test_weights_without_a_finite_loss_leave_the_gradient_to_the_next_ones() -> None:
    problem = straight_through(dtype=torch.float64)
    fine = snapshot_of(problem.model, 0, problem=problem).risk()
    lost = risk_at(problem)
    lost.theta.fill_(torch.nan)
    assert not torch.isfinite(lost.gradient()).any()
    with pytest.raises(ProblemError, match="not the derivative of its loss"):
        fine.gradient()


class Padded(nn.Module):
    """Blocks of tokens whose ends are padding, which reaches the outputs; tied: so does its row."""

    def __init__(self, padding_idx: int | None, *, tied: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(7, 4, padding_idx=padding_idx)
        with torch.no_grad():
            self.table.weight.copy_(torch.randn(7, 4))
        self.mix, self.head = nn.Linear(4, 4), nn.Linear(4, 7)
        if tied:
            self.head.weight = self.table.weight

    def forward(self, ids: Tensor) -> Tensor:
        mixed: Tensor = self.head(torch.tanh(self.mix(self.table(ids)).cumsum(1))[:, -1])
        return mixed


def padded(padding_idx: int | None, *, tied: bool = False, **engine: Any) -> Problem:
    ids = torch.randint(0, 7, (20, 5), generator=torch.Generator().manual_seed(1))
    ids[:, 3:] = 2
    found = Problem.classification(Padded(padding_idx, tied=tied), [(ids, ids[:, 0])])
    return replace(found, engine=Engine(**{"dtype": torch.float64, **engine}))


@pytest.mark.parametrize("padding_idx", [2, -5])
@pytest.mark.parametrize("tied", [False, True])
def test_the_row_of_padding_is_no_slope_of_the_loss_and_no_fault(
    padding_idx: int, tied: bool
) -> None:
    """Autograd masks it by design; of all other rows the gradient is that without a mask."""
    problem = padded(padding_idx, tied=tied)
    risk = snapshot_of(problem.model, 0, problem=problem).risk()
    plain = padded(None, tied=tied)
    free = snapshot_of(plain.model, 0, problem=plain).risk()
    parts = zip(risk.layout.split(risk.gradient()), free.layout.split(free.gradient()), strict=True)
    for name, (masked, whole) in zip(risk.layout.names, parts, strict=True):
        if name == "table.weight":
            assert float((masked[2] - whole[2]).norm()) > 1e-3
            keep = torch.arange(7) != 2
            masked, whole = masked[keep], whole[keep]
        torch.testing.assert_close(masked, whole)
    for metric in ("gradient_norm", "noise_scale", "output_logits", "activation_scale"):
        assert "" not in measure(snapshot_of(problem.model, 0, problem=problem), metric).skipped


def test_its_products_are_those_of_the_hessian_without_the_row() -> None:
    """Against the Hessian of all parameters, of which the row and column of padding are cut out."""
    problem, plain = padded(2), padded(None)
    risk = snapshot_of(problem.model, 0, problem=problem).risk()
    free = snapshot_of(plain.model, 0, problem=plain).risk()
    mask = torch.ones(risk.size, dtype=torch.float64)
    risk.layout.split(mask)[risk.layout.names.index("table.weight")][2] = 0.0
    v = torch.randn(risk.size, generator=torch.Generator().manual_seed(3)).double()
    assert float((free.product(v) - free.product(mask * v)).norm()) > 1e-3  # the row matters
    torch.testing.assert_close(risk.product(v), mask * free.product(mask * v))
    assert (
        measure(snapshot_of(problem.model, 0, problem=problem), "hessian_top").status == Status.ok
    ).all()


def test_differences_along_the_row_of_padding_are_refused() -> None:
    """They gave 1.310 for an eigenvalue of 1.304: the column of padding without its row."""
    problem = padded(2, hvp="differences")
    risk = snapshot_of(problem.model, 0, problem=problem).risk()
    with pytest.raises(ProblemError, match="row that an embedding pads with") as caught:
        risk.product(torch.ones(risk.size))
    assert "padding_idx=None" in str(caught.value.remedy)
    free = padded(None, hvp="differences")
    assert (
        measure(snapshot_of(free.model, 0, problem=free), "hessian_top").status == Status.ok
    ).all()


class HalvedPadded(Padded):
    def forward(self, ids: Tensor) -> Tensor:
        return HalfSlope.apply(super().forward(ids))  # type: ignore[no-any-return]


def test_a_wrong_backward_behind_padding_is_refused_as_ever() -> None:
    problem = replace(padded(2), model=HalvedPadded(2))
    with pytest.raises(ProblemError, match="not the derivative of its loss"):
        snapshot_of(problem.model, 0, problem=problem).risk().gradient()


def test_weight_norm_brings_no_warning_that_nobody_can_act_on() -> None:
    network = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 5)), nn.ReLU())
    x = torch.randn(12, 6, generator=torch.Generator().manual_seed(0))
    problem = Problem.classification(network, [(x, torch.arange(12) % 5)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = measure(snapshot_of(network, 0, problem=problem), "gradient_snr")
    assert (found.status == Status.ok).any(), found.skipped
