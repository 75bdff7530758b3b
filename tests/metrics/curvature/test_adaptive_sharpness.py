"""adaptive_sharpness: its closed form, and invariance to what leaves the function as it is."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dyntools.measurement import Status
from dyntools.measuring import measure
from dyntools.problem import Problem
from tests import problems


def test_closed_form_of_a_quadratic() -> None:
    hessian = problems.symmetric([3.0, 1.0, -0.5])
    problem = problems.quadratic(hessian)
    x = problem.model.x.detach().numpy()
    scale, gradient = np.abs(x) + 0.01, hessian @ x
    step = 0.5 * scale**2 * gradient / np.linalg.norm(scale * gradient)
    found = measure(problems.snapshot_of(problem), "adaptive_sharpness")
    expected = step @ gradient + 0.5 * step @ hessian @ step
    np.testing.assert_allclose(found.values, expected, rtol=1e-12)
    linear = 0.5 * np.linalg.norm(scale * gradient)
    np.testing.assert_allclose(found.beside["linear"], linear, rtol=1e-12)
    np.testing.assert_allclose(step @ gradient, linear, rtol=1e-12)


def test_the_step_is_the_best_of_its_length() -> None:
    """No other step with |T⁻¹e| = ρ makes the linear part larger."""
    hessian = problems.symmetric([3.0, 1.0, -0.5, 0.2])
    problem = problems.quadratic(hessian)
    x = problem.model.x.detach().numpy()
    found = measure(problems.snapshot_of(problem), "adaptive_sharpness", rho=0.1)
    other = np.random.default_rng(0).standard_normal((1000, 4))
    steps = (np.abs(x) + 0.01) * 0.1 * other / np.linalg.norm(other, axis=1)[:, None]
    assert (steps @ hessian @ x).max() <= found.beside["linear"]


def rescaled(params: dict[str, Tensor], factor: float) -> dict[str, Tensor]:
    """The same function of a ReLU network: its first layer larger, its second smaller."""
    return {
        "0.weight": params["0.weight"] * factor,
        "0.bias": params["0.bias"] * factor,
        "2.weight": params["2.weight"] / factor,
        "2.bias": params["2.bias"],
    }


def relu_network() -> Problem:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(32, 5, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (32,), generator=generator)
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64))
    return Problem(model, [(x, y)], lambda z, b: cross_entropy(z, b[1]), engine=problems.EXACT)


def test_invariant_to_rescaling_the_layers_of_a_relu_network() -> None:
    """Kwon et al. 2021, theorem 2; without η, which has a scale of its own."""
    problem = relu_network()
    params = problems.params_of(problem)
    values, plain = [], []
    for factor in (1.0, 4.0, 0.1):
        snapshot = problems.snapshot_of(problem, rescaled(params, factor))
        values.append(float(measure(snapshot, "adaptive_sharpness", eta=0.0, m=8).values))
        plain.append(float(measure(snapshot, "sam_sharpness", m=8).values))
    np.testing.assert_allclose(values, values[0], rtol=1e-10)
    assert max(plain) > 1.2 * min(plain)  # which sam_sharpness is not


def test_eta_lets_weights_at_zero_move() -> None:
    problem = problems.classifier()
    params = problems.params_of(problem)
    zeros = {name: torch.zeros_like(p) for name, p in params.items()}
    snapshot = problems.snapshot_of(problem, zeros)
    stuck = measure(snapshot, "adaptive_sharpness", eta=0.0)
    assert stuck.status == Status.failed
    assert stuck.skipped[""]
    assert measure(snapshot, "adaptive_sharpness").values > 0
