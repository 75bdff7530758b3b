"""loss_slice against quadratics, the paper's normalisation, and its invariance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from dyntools.measurement import Status
from dyntools.measuring import measure
from dyntools.metrics.curvature.loss_slice import filter_normalised
from dyntools.problem import Problem
from dyntools.problem.layout import Layout
from tests import problems


def test_filters_have_the_length_of_the_weights() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = {"conv": (4, 3, 2, 2), "bias": (4,), "matrix": (5, 7), "norm": (5,), "scale": ()}
    weights = {n: torch.randn(s, generator=generator) for n, s in shapes.items()}
    weights["matrix"][2] = 0.0
    layout = Layout.of(weights)
    theta = layout.flatten(list(weights.values()))
    raw = torch.randn(layout.size, generator=generator)
    found = dict(
        zip(layout.names, layout.split(filter_normalised(raw, theta, layout)), strict=True)
    )
    before = dict(zip(layout.names, layout.split(raw), strict=True))
    for name in ("conv", "matrix"):
        for d, w, r in zip(found[name], weights[name], before[name], strict=True):
            torch.testing.assert_close(d.norm(), w.norm())
            torch.testing.assert_close(d * r.norm(), r * w.norm())
    for name in ("bias", "norm", "scale"):
        assert not found[name].any()
    zero = filter_normalised(torch.zeros_like(theta), theta, layout)
    assert not zero.any()


def test_the_loss_at_every_position() -> None:
    """By hand on the bare module, with the directions normalised in NumPy."""
    problem = problems.classifier()
    found = measure(problems.snapshot_of(problem), "loss_slice", points=5, seed=3, span=0.5)
    assert found.dims == ("direction", "position")
    assert found.coords["position"] == (-0.5, -0.25, 0.0, 0.25, 0.5)
    params = problems.params_of(problem)
    n = sum(p.numel() for p in params.values())
    drawn = torch.randn(n, generator=torch.Generator().manual_seed(3)).double()
    weights = [problem.terms(batch) for batch in problem.batches]

    def loss(values: dict[str, torch.Tensor]) -> torch.Tensor:
        parts = [
            cross_entropy(functional_call(problem.model, values, (x,)), y)
            for x, y in problem.batches
        ]
        return sum(w * part for w, part in zip(weights, parts, strict=True)) / sum(weights)

    leaves = {name: p.clone().requires_grad_() for name, p in params.items()}
    gradients = torch.autograd.grad(loss(leaves), list(leaves.values()))
    raws = [drawn.split([p.numel() for p in params.values()]), gradients]
    for row, raw in zip(found.values, raws, strict=True):
        moves = {}
        for (name, p), d in zip(params.items(), raw, strict=True):
            d = d.reshape(p.shape).numpy()
            if p.ndim == 1:
                moves[name] = torch.zeros_like(p)
                continue
            lengths = np.linalg.norm(p.numpy(), axis=1) / np.linalg.norm(d, axis=1)
            moves[name] = torch.from_numpy(d * lengths[:, None])
        for value, x in zip(row, found.coords["position"], strict=True):
            there = loss({name: p + x * moves[name] for name, p in params.items()})
            assert value == pytest.approx(float(there), rel=1e-10)


def test_the_parabola_is_the_slice_of_a_quadratic() -> None:
    """A linear network with half the squared error: the loss is quadratic in its weights."""
    problem, _ = problems.linear_regression()
    found = measure(problems.snapshot_of(problem), "loss_slice")
    np.testing.assert_allclose(found.beside["parabola"], found.values, rtol=1e-10)
    assert found.matvecs == 2
    middle = found.coords["position"].index(0.0)
    assert found.values[0, middle] == found.values[1, middle]


def test_the_parabola_touches_the_slice_of_a_network() -> None:
    """To third order: ten times nearer, a thousand times less."""
    snapshot = problems.snapshot_of(problems.classifier())
    off = []
    for span in (0.1, 0.01):
        found = measure(snapshot, "loss_slice", span=span, points=3)
        off.append(np.abs(found.values - found.beside["parabola"])[:, [0, 2]].max())
    assert off[1] < 3e-3 * off[0]


def test_rescaled_layers_have_the_same_slice() -> None:
    """ReLU(cx)/c = ReLU(x): the paper's reason for the normalisation, without biases."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20, 6, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (20,), generator=generator)
    layers = [nn.Linear(6, 8, bias=False), nn.ReLU(), nn.Linear(8, 3, bias=False)]
    model = nn.Sequential(*layers).double()
    problem = Problem(model, [(x, y)], lambda z, b: cross_entropy(z, b[1]), engine=problems.EXACT)
    params = problems.params_of(problem)
    rescaled = {"0.weight": 10 * params["0.weight"], "2.weight": params["2.weight"] / 10}
    one, other = (
        measure(problems.snapshot_of(problem, p), "loss_slice") for p in (params, rescaled)
    )
    np.testing.assert_allclose(one.values[0], other.values[0], rtol=1e-9)  # the random line


def test_seeds_draw_other_lines() -> None:
    snapshot = problems.snapshot_of(problems.classifier())
    one, same, other = (measure(snapshot, "loss_slice", seed=seed) for seed in (0, 0, 1))
    assert one.values.tobytes() == same.values.tobytes()
    assert (one.values[0] != other.values[0]).any()
    np.testing.assert_array_equal(one.values[1], other.values[1])


def test_what_is_not_finite_is_left_out() -> None:
    problem = problems.classifier()
    wall = replace(
        problem,
        loss=lambda z, b: cross_entropy(z, b[1]) + (0.0 if z.abs().max() < 4 else torch.inf),
    )
    found = measure(problems.snapshot_of(wall), "loss_slice", span=3.0, points=7)
    assert (found.status == Status.ok).any()
    assert (found.status == Status.failed).any()
    np.testing.assert_array_equal(np.isnan(found.values), found.status != Status.ok)
    assert "not finite" in found.skipped[""]
