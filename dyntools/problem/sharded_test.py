"""The self-test of a sharded risk: its own products, through the gather and its adjoint.

    u·Hv = v·Hu,    Hv = (g(θ+hv) - g(θ-hv)) / 2h      on a few examples, in float64 where possible

Every rank takes the same examples. Steps and tolerances are those of `self_test`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dyntools.errors import ProblemError
from dyntools.linalg.vectors import dot, norm
from dyntools.problem.batches import Batch
from dyntools.problem.gradient_test import few
from dyntools.problem.obstacles import refuse_reentrant
from dyntools.problem.self_test import COARSE, FINE, VANISHING, SelfTest
from dyntools.problem.sharded import ShardedRisk


def sharded_test(risk: ShardedRisk) -> SelfTest:
    """Raises ProblemError when a product is wrong; the same on every rank."""
    batch = few(risk)
    refuse_reentrant(risk.loss_of(batch), risk.problem)
    fine = _in_float64(risk, batch)
    exact, tolerance = (risk.on([batch]), COARSE) if fine is None else (fine, FINE)
    u, v = (_direction(exact, seed) for seed in (1, 2))
    hu, hv = exact.product(u), exact.product(v)
    left, right = _dot(exact, u, hv), _dot(exact, v, hu)
    lengths = _norm(exact, u) * _norm(exact, hv) + _norm(exact, v) * _norm(exact, hu)
    asymmetry = abs(left - right) / max(abs(left), abs(right), 1e-3 * lengths, 1e-300)
    difference = min(_difference(exact, v, hv, step) for step in tolerance.steps)
    if not (asymmetry <= tolerance.asymmetry and difference <= tolerance.difference):
        raise ProblemError(
            "The Hessian-vector products of this model are wrong when its parameters are sharded.",
            where=risk.problem.source or None,
            found=f"u·Hv = {left:.6g}, v·Hu = {right:.6g}; off by {difference:.2g} from a"
            " difference of gradients",
            remedy="without --shard-parameters, where more can be said",
        )
    return SelfTest(asymmetry, difference, 0.0)


def _in_float64(risk: ShardedRisk, batch: Batch) -> ShardedRisk | None:
    """The same on a few examples in float64; None where the model insists on its precision."""
    fine = risk.on([batch], torch.float64)
    try:
        fine.loss_of(batch)
    except (RuntimeError, TypeError):
        return None
    return fine


def _direction(risk: ShardedRisk, seed: int) -> Tensor:
    vector = risk.draw(seed)
    return vector / _norm(risk, vector)


def _difference(risk: ShardedRisk, v: Tensor, hv: Tensor, step: float) -> float:
    """|Hv - difference of gradients| / |Hv|, at a step relative to |θ|."""
    size = max(_norm(risk, risk.theta), 1.0)
    h = step * size
    ahead, behind = risk.gradient(risk.theta + h * v), risk.gradient(risk.theta - h * v)
    change = (ahead - behind) / (2 * h)
    scale = max(_norm(risk, hv), VANISHING * _norm(risk, ahead) / size, 1e-300)
    error = _norm(risk, change - hv) / scale
    return error if math.isfinite(error) else math.inf


def _dot(risk: ShardedRisk, a: Tensor, b: Tensor) -> float:
    return float(dot(a, b, risk.reduce))


def _norm(risk: ShardedRisk, a: Tensor) -> float:
    return float(norm(a, risk.reduce))
