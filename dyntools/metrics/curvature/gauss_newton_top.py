"""gauss_newton_top: the largest eigenvalues of the Gauss–Newton matrix of the loss.

    G = (1/N) Σ Jᵀ (∂²ℓ/∂z²) J,    H = G + (1/N) Σ_i Σ_c (∂ℓ/∂z_c) ∂²z_c/∂θ²
    beside:  uᵀ H u  along each eigenvector u of G                   unit: loss per weight squared

J is the Jacobian of the outputs z. G is the curvature that a linear model of the network would
have: positive semi-definite where the loss is convex in z, and equal to the Fisher matrix for
cross-entropy. What is left of H comes from residuals, and vanishes as the data are fitted: the
outliers of H are those of G (Sagun et al. 2018, arXiv:1706.04454; Papyan 2019, arXiv:1901.08244).
G: Schraudolph 2002, doi:10.1162/08997660260028683. The error of a value bounds its distance to an
eigenvalue of this probe's G.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dyntools.measurement import Measurement
from dyntools.metrics.curvature import eigenpairs
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.linalg.operator import Operator
    from dyntools.snapshot import Snapshot


def rayleigh_quotients(operator: Operator, vectors: Tensor) -> NDArray[np.float64]:
    """uᵀ A u / uᵀ u for each row u of (k, n)."""
    from dyntools.linalg.vectors import dot

    found = [
        float(dot(u, operator(u), operator.reduce) / dot(u, u, operator.reduce)) for u in vectors
    ]
    return np.array(found)


def measure(
    snapshot: Snapshot,
    *,
    k: int = eigenpairs.K,
    split: bool = True,
    rtol: float = eigenpairs.RTOL,
    seed: int = 0,
) -> Measurement:
    """The k largest eigenvalues of G, ranks 1 … k; beside them the curvature of H along the same.

    k: 10, as in hessian_top, with which it is compared.
    split: whether to take uᵀHu; k products with the Hessian.
    rtol: 1e-3, far below the sampling error of any probe (measured).
    """
    from dyntools.operators.hessian import gauss_newton, hessian  # brings torch along

    def build() -> Operator:
        return gauss_newton(snapshot.risk())

    key = ("gauss_newton", k, rtol, seed)
    pairs = eigenpairs.outermost(snapshot, build, key, k, rtol=rtol, seed=seed)
    found = eigenpairs.ranked(pairs, k)
    if not split:
        return found
    along = rayleigh_quotients(hessian(snapshot.risk()), pairs.largest.vectors)
    beside = {"hessian": eigenpairs.along_ranks(along, np.empty(0), k, 0)}
    return replace(found, beside=beside, matvecs=found.matvecs + len(along))


METRIC = Metric(
    name="gauss_newton_top",
    group="curvature",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    dims=("rank",),
    unit="loss / weight²",
    what="largest eigenvalues of the Gauss–Newton matrix, the Hessian without residuals",
    paper="Schraudolph 2002, doi:10.1162/08997660260028683; Papyan 2019, arXiv:1901.08244",
    cost="about 35 products for ten, and one each for the split; fewer from the second step on",
    products=True,
    least={"k": 1, "rtol": 1e-12, "seed": 0},
)
