"""Self-test: whether products are symmetric, and the derivative of the gradient.

    u·Hv = v·Hu,    H v = (g(θ + εv) - g(θ - εv)) / 2ε + O(ε²)      for random u, v

Looked at in float64 on a few examples, where they hold to many digits or not at all. It catches
what runs without an error and is wrong: forward-mode products through LayerNorm (off by 6e-3 to
5e-2), products of tensor-parallel modules (off by 42 %), a custom backward that cannot be
differentiated and does not say so. That the gradient itself is right is `gradient_test`'s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dyntools.errors import ProblemError
from dyntools.linalg.vectors import dot, norm
from dyntools.problem.batches import Batch
from dyntools.problem.gradient_test import direction, few, in_float64, leave_kinks, rounds
from dyntools.problem.risk import Risk

ROUNDED = 2e-2  # of a product in the working precision against float64 on a random vector; chosen
VANISHING = 1e-3  # of |g|/|θ|: an H v below this is measured against it; chosen


@dataclass(frozen=True)
class SelfTest:
    """Relative errors: of symmetry, against the difference of gradients, of rounding."""

    asymmetry: float
    difference: float
    rounding: float


@dataclass(frozen=True)
class _Tolerance:
    """steps: of the difference, relative to |θ|; the later ones in case a kink was crossed."""

    asymmetry: float
    difference: float
    steps: tuple[float, ...]


# Measured in float64: right products are within 1e-8 of the difference, wrong ones beyond 1e-3.
FINE = _Tolerance(1e-3, 1e-5, (1e-5, 1e-7, 1e-8))
COARSE = _Tolerance(5e-2, ROUNDED, (1e-3, 1e-2, 1e-4))  # where a model insists on its precision


def self_test(risk: Risk) -> SelfTest:
    """On a few examples of the problem. Raises ProblemError when a product is wrong."""
    batch = few(risk)
    fine = in_float64(risk, batch)
    exact = risk.on([batch]) if fine is None else fine
    leave_kinks(exact)
    v = direction(exact, 2)
    hv = exact.product(v)
    asymmetry, sides = _asymmetry(exact, v, hv)
    exact.release()
    tolerance = COARSE if fine is None else FINE
    difference = _difference(exact, v, hv, tolerance)
    if difference > tolerance.difference and tolerance is FINE and rounds(exact):
        tolerance = COARSE
        difference = _difference(exact, v, hv, tolerance)
    # Written so that a product that is not a number is refused.
    if not (asymmetry <= tolerance.asymmetry and difference <= tolerance.difference):
        raise ProblemError(
            "The Hessian-vector products of this model are wrong.",
            where=risk.problem.source or None,
            found=f"{sides}; off by {difference:.2g} from a difference of gradients",
            remedy="an operation with a wrong second derivative, or a model split over devices "
            "(tensor parallel); --hvp differences needs gradients alone",
        )
    return SelfTest(asymmetry, difference, _rounding(risk, exact, batch, v, hv))


def _asymmetry(risk: Risk, v: Tensor, hv: Tensor) -> tuple[float, str]:
    """|u·Hv - v·Hu| relative to either, and the two in words.

    Along random directions they are far below |u||Hv|, so that is not the measure; but never less
    than what rounding alone leaves of it.
    """
    u = direction(risk, 1)
    hu = risk.product(u)
    left, right = float(dot(u, hv)), float(dot(v, hu))
    scale = float(norm(hv)) * float(norm(u)) + float(norm(hu)) * float(norm(v))
    asymmetry = abs(left - right) / max(abs(left), abs(right), 1e-3 * scale, 1e-300)
    return asymmetry, f"u·Hv = {left:.6g}, v·Hu = {right:.6g}"


def _difference(risk: Risk, v: Tensor, hv: Tensor, tolerance: _Tolerance) -> float:
    """|H v - difference of gradients| / |H v|, the best of some steps."""
    best = math.inf
    size = max(float(norm(risk.theta)), 1.0)
    for step in tolerance.steps:
        h = step * size
        change = risk.gradient(torch.add(risk.theta, v, alpha=h))
        scale = max(float(norm(hv)), VANISHING * float(norm(change)) / size, 1e-300)
        # In place: for a large model each of these vectors counts.
        change.sub_(risk.gradient(torch.sub(risk.theta, v, alpha=h))).div_(2 * h).sub_(hv)
        best = min(best, float(norm(change)) / scale)
        if best <= tolerance.difference:
            break
    return best


def _rounding(risk: Risk, exact: Risk, batch: Batch, v: Tensor, hv: Tensor) -> float:
    """The error of one product in the working precision; hv in float64."""
    if risk.dtype == hv.dtype or not float(norm(hv)) > 0.0:
        return 0.0
    rough = risk.on([batch])
    rough.theta.copy_(exact.theta)
    product = rough.product(v.to(risk.dtype)).to(torch.float64)
    error = float(norm(product - hv)) / float(norm(hv))
    if not error <= ROUNDED and risk.dtype == torch.float32:
        raise ProblemError(
            "Products in float32 are too far from those in float64.",
            where=risk.problem.source or None,
            found=f"a relative difference of {error:.2g} on a random vector",
            remedy="--dtype float64",
        )
    return error
