"""Second-order matrices of a risk: the Hessian, the Gauss–Newton and the two Fisher matrices.

    H = ∂²L/∂θ²,   G = (1/N) Σ Jᵀ (∂²ℓ/∂z²) J,   F = E_ŷ[g gᵀ],   F̂ = (1/N) Σ g_i g_iᵀ

z are the outputs, J their Jacobian, ŷ labels drawn from the model, g_i the gradient of example i at
its own label. H - G is the part of the curvature that residuals make; F = G for cross-entropy, and
F̂ is neither (Kunstner, Balles & Hennig 2019, arXiv:1905.12558).
"""

from __future__ import annotations

from functools import partial

from torch import Tensor

from dyntools.linalg.operator import Operator
from dyntools.problem.graphs import Kind
from dyntools.problem.layout import Layout
from dyntools.problem.risk import Risk
from dyntools.problem.sharded import ShardedRisk


def hessian(risk: Risk, part: Layout | None = None) -> Operator:
    """H (n, n); with `part`, the diagonal block of some tensors, (part.size, part.size)."""
    return _operator(risk, "hessian", part)


def gauss_newton(risk: Risk, part: Layout | None = None) -> Operator:
    """The generalised Gauss–Newton matrix G (Schraudolph 2002, doi:10.1162/08997660260028683)."""
    return _operator(risk, "gauss_newton", part)


def empirical_fisher(risk: Risk, part: Layout | None = None) -> Operator:
    """F̂, from the gradients at the labels of the data."""
    return _operator(risk, "empirical_fisher", part)


def fisher(risk: Risk, part: Layout | None = None, *, seed: int = 0) -> Operator:
    """F by one label a term, drawn from the softmax of the outputs; for classifiers."""
    return _operator(risk, "fisher", part, seed)


def _operator(risk: Risk, kind: Kind, part: Layout | None, seed: int = 0) -> Operator:
    size = risk.size if part is None else part.size

    def apply(vector: Tensor) -> Tensor:
        return risk.product(vector, kind, part, seed)

    if isinstance(risk, ShardedRisk):
        draw = partial(risk.draw, part=part)
        return Operator(apply, size, risk.dtype, risk.device, risk.reduce, draw)
    return Operator(apply, size, risk.dtype, risk.device)
