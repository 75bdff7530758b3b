"""adam_sharpness: the largest eigenvalues of the Hessian as Adam sees it.

    P^-1/2 H P^-1/2,    P = (1 - β1^t) diag( sqrt(v / (1 - β2^t)) + eps )
    stable while λ_1 < (2 + 2 β1) / ((1 - β1) η), 38/η for β1 = 0.9         unit: 1 / learning rate

v is the second moment in the checkpoint's own optimizer state. Adam divides each gradient by P, so
its learning rate must be held against these eigenvalues and not against those of H, which keep
growing while Adam hovers at this threshold: Cohen et al. 2022, Adaptive gradient methods at the
edge of stability, arXiv:2207.14484. The error of a value bounds its distance to an eigenvalue.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dyntools.measurement import Measurement, skipped
from dyntools.metrics.curvature import eigenpairs
from dyntools.metrics.curvature.edge import companions
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.linalg.operator import Operator
    from dyntools.snapshot import Snapshot


def measure(
    snapshot: Snapshot,
    *,
    k: int = 1,
    rtol: float = eigenpairs.RTOL,
    seed: int = 0,
) -> Measurement:
    """The k largest eigenvalues, ranks 1 … k.

    k: 1, the one that decides over stability.
    rtol: 1e-3, far below the sampling error of any probe (measured).
    """
    from dyntools.operators import adam  # brings torch along

    state = snapshot.optimizer
    assert state is not None
    if reason := adam.unfit(state):
        return skipped(reason, ("rank",))

    def build() -> Operator:
        return adam.preconditioned_hessian(snapshot.risk(), state)

    pairs = eigenpairs.outermost(snapshot, build, ("adam", k, rtol, seed), k, rtol=rtol, seed=seed)
    found = eigenpairs.ranked(pairs, k)
    return replace(found, beside=companions(snapshot, found.values, preconditioned=True))


METRIC = Metric(
    name="adam_sharpness",
    group="curvature",
    version=1,
    measure=measure,
    needs=("params", "optimizer", "problem"),
    dims=("rank",),
    unit="1 / learning rate",
    what="largest eigenvalues of the Hessian preconditioned by Adam's second moments",
    paper="Cohen et al. 2022, arXiv:2207.14484",
    cost="about 15 products; fewer from the second step on",
    products=True,
    least={"k": 1, "rtol": 1e-12, "seed": 0},
)
