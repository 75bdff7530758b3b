"""The Fisher identity: where labels come from the model itself, the noise is the curvature.

    E Σ_i g_i g_iᵀ / N = E ∇²L        so  tr Σ + |G|² = mean |x|² (1 - Σ_c p_c²)  and  G = 0

of a linear softmax model, whose Hessian is known by hand. Of labels that ignore the model it fails.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dyntools.measuring import measure
from dyntools.problem import Problem
from tests.problems import EXACT, snapshot_of

EXAMPLES, INPUTS, CLASSES = 4000, 3, 4


def trace_and_mean(from_model: bool) -> tuple[float, float, float, float]:
    """tr Σ, its error, |G|² and the trace of the Hessian."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(EXAMPLES, INPUTS))
    w = generator.normal(size=(CLASSES, INPUTS))
    z = np.exp(x @ w.T)
    p = z / z.sum(1, keepdims=True)
    drawn = p if from_model else np.full_like(p, 1 / CLASSES)
    labels = (drawn.cumsum(1) > generator.random((EXAMPLES, 1))).argmax(1)
    model = nn.Linear(INPUTS, CLASSES, bias=False, dtype=torch.float64)
    model.weight.data = torch.from_numpy(w)
    batch = (torch.from_numpy(x), torch.from_numpy(labels))
    problem = Problem(model, [batch], lambda z, b: cross_entropy(z, b[1]), engine=EXACT)
    beside = measure(snapshot_of(problem), "noise_scale").beside
    hessian = float((np.square(x).sum(1) * (1 - np.square(p).sum(1))).mean())
    return (*(float(beside[n]) for n in ("trace", "trace_error", "squared_norm")), hessian)


def test_of_a_well_specified_model_noise_is_curvature() -> None:
    trace, error, squared, hessian = trace_and_mean(from_model=True)
    assert error < 0.05 * trace
    assert abs(trace - hessian) < 3 * error
    assert abs(squared) < 3 * trace / EXAMPLES


def test_of_labels_that_ignore_the_model_it_is_not() -> None:
    trace, error, squared, hessian = trace_and_mean(from_model=False)
    assert abs(trace - hessian) > 6 * error
    assert squared > 0.1
