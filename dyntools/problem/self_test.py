"""Self-test: whether products are symmetric, and the derivative of the gradient.

    u·Hv = v·Hu,    H v = (g(θ + εv) - g(θ - εv)) / 2ε + O(ε²)      for random u, v
                    g·v = (L(θ + εv) - L(θ - εv)) / 2ε + O(ε²)

Looked at in float64 on a few examples, where they hold to many digits or not at all. It catches
what runs without an error and is wrong: forward-mode products through LayerNorm (off by 6e-3 to
5e-2), products of tensor-parallel modules (off by 42 %), a custom backward that is not the
derivative of its forward, or cannot be differentiated and does not say so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dyntools.errors import ProblemError
from dyntools.linalg.vectors import dot, norm
from dyntools.problem.batches import Batch
from dyntools.problem.conditions import is_whole
from dyntools.problem.obstacles import refuse_reentrant
from dyntools.problem.probe import counted
from dyntools.problem.risk import Risk
from dyntools.problem.watch import Watch

EXAMPLES = 2  # enough to meet every operation of the model; chosen
ROUNDED = 2e-2  # of a product in the working precision against float64 on a random vector; chosen
SLOPE = 1e-3  # relative, of the gradient along a random direction; right ones: 1e-7; chosen
MOVED = 1e-2  # of |θ|, away from the kinks on which fresh weights lie; chosen
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
    batch = counted(risk.probe, None if is_whole(risk.problem) else EXAMPLES)
    refuse_reentrant(risk.loss_of(batch), risk.problem)
    fine = _in_float64(risk, batch)
    exact = risk.on([batch]) if fine is None else fine
    _leave_kinks(exact)
    v = _direction(exact, 2)
    hv = exact.product(v)
    asymmetry, sides = _asymmetry(exact, v, hv)
    exact.release()
    tolerance = COARSE if fine is None else FINE
    difference = _difference(exact, v, hv, tolerance)
    if difference > tolerance.difference and tolerance is FINE and _rounds(exact, batch):
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
    if tolerance is FINE:
        _refuse_other_gradient(exact, v)
    return SelfTest(asymmetry, difference, _rounding(risk, exact, batch, v, hv))


def _in_float64(risk: Risk, batch: Batch) -> Risk | None:
    """The same problem on a few examples in float64; None where it cannot be evaluated."""
    fine = risk.on([batch], torch.float64)
    try:
        fine.loss()
    except (RuntimeError, TypeError):
        return None
    return fine


def _leave_kinks(risk: Risk) -> None:
    """Move a little at random, for the operations are tested and not the point.

    With biases of zero, blank pixels lie exactly on the kink of a ReLU, where no difference of
    gradients has a limit.
    """
    length = MOVED * max(float(norm(risk.theta)), 1.0)
    risk.theta.add_(_direction(risk, 3), alpha=length)


def _direction(risk: Risk, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    vector = torch.randn(risk.size, generator=generator, dtype=torch.float64)
    vector /= norm(vector)
    return vector.to(risk.device, risk.dtype)


def _asymmetry(risk: Risk, v: Tensor, hv: Tensor) -> tuple[float, str]:
    """|u·Hv - v·Hu| relative to either, and the two in words.

    Along random directions they are far below |u||Hv|, so that is not the measure; but never less
    than what rounding alone leaves of it.
    """
    u = _direction(risk, 1)
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


def _refuse_other_gradient(risk: Risk, v: Tensor) -> None:
    """Raise ProblemError when the gradient is not that of the loss."""
    gradient = risk.gradient()
    h = FINE.steps[0] * max(float(norm(risk.theta)), 1.0)
    ahead, behind = risk.loss(risk.theta + h * v), risk.loss(risk.theta - h * v)
    along, change = float(dot(gradient, v)), (ahead - behind) / (2 * h)
    rounding = 100 * torch.finfo(torch.float64).eps * abs(ahead) / h
    if abs(along - change) > SLOPE * max(abs(along), abs(change)) + rounding:
        raise ProblemError(
            "The gradient of this model is not the derivative of its loss.",
            where=risk.problem.source or None,
            found=f"{along:.6g} along a random direction, where the loss changes by {change:.6g}",
            remedy="a custom backward, a detach() or a straight-through estimator has no Hessian",
        )


def _rounds(risk: Risk, batch: Batch) -> bool:
    """Whether a model in float64 computes some of its values in less."""
    with _Precisions() as seen:
        risk.loss_of(batch)
    return bool(seen.lower)


class _Precisions(Watch):  # type: ignore[no-untyped-call]
    """Notes floating-point results of less than float64."""

    def __init__(self) -> None:
        super().__init__()
        self.lower: set[torch.dtype] = set()

    def saw(self, given: Sequence[Tensor], made: Sequence[Tensor]) -> None:
        self.lower |= {t.dtype for t in made if t.is_floating_point()} - {torch.float64}


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
