"""hessian_top: the largest eigenvalues of the Hessian of the training loss.

    H = ∂²L/∂θ²,   H u = λ u,   λ_1 ≥ λ_2 ≥ …            one per rank, unit: loss per weight squared

λ_1 decides which learning rates are stable: gradient descent needs λ_1 < 2/η, heavy ball
λ_1 < 2(1+β)/η, and training with a constant rate drives λ_1 up to that edge (Cohen et al. 2021,
arXiv:2103.00065; Gilmer et al. 2022, arXiv:2110.04369). As many outliers stand apart from the bulk
as there are classes (Sagun et al. 2018, arXiv:1706.04454; Ghorbani et al. 2019, arXiv:1901.10159).
By Lanczos with exact Hessian-vector products; the error of a value bounds its distance to a true
eigenvalue of this probe's Hessian. The sampling error is far larger, see `jackknife`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dyntools.measurement import Measurement, stacked
from dyntools.metrics.curvature import eigenpairs, jackknife
from dyntools.metrics.curvature.blocks import BLOCKS, WHOLE, blocks_of
from dyntools.metrics.curvature.edge import companions
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.snapshot import Snapshot


def measure(
    snapshot: Snapshot,
    *,
    k: int = eigenpairs.K,
    smallest: int = 0,
    block: str = "none",
    rtol: float = eigenpairs.RTOL,
    groups: int = 0,
    seed: int = 0,
) -> Measurement:
    """The k largest eigenvalues, ranks 1 … k, and the smallest, ranks -1, -2, …

    k: 10, the number of classes of most benchmarks, which is the number of outliers.
    smallest: none (chosen: each costs products).
    block: `layer` adds the eigenvalues of the diagonal block of every tensor, `kind` those of all
        tensors of one kind (embedding, attention, MLP, norm) together; `none` is the cheapest.
    rtol: 1e-3, far below the sampling error of any probe (measured).
    groups: of the jackknife over examples, at least 2, for the sampling error; 0 leaves it out, as
        each group costs nearly as much as the eigenvalues themselves (measured: 0.6 to 0.95).
    """
    found = {}
    for name, part in blocks_of(snapshot, block).items():
        pairs = eigenpairs.of_hessian(snapshot, k, smallest, rtol=rtol, seed=seed, part=part)
        one = eigenpairs.ranked(pairs, k, smallest, block="" if name == WHOLE else name)
        if name == WHOLE:
            one = replace(one, beside=companions(snapshot, one.values, preconditioned=False))
            if groups:
                more = jackknife.hessian(snapshot, pairs, groups, k, smallest, rtol=rtol, seed=seed)
                beside = {**one.beside, **more.beside}
                one = replace(one, beside=beside, matvecs=one.matvecs + more.products)
        found[name] = one
    return stacked("block", found)


METRIC = Metric(
    name="hessian_top",
    group="curvature",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    dims=("block", "rank"),
    unit="loss / weight²",
    what="largest eigenvalues of the Hessian of the loss",
    paper="Cohen et al. 2021, arXiv:2103.00065; Ghorbani et al. 2019, arXiv:1901.10159",
    cost="about 15 products for the first eigenvalue, 35 for ten; fewer from the second step on",
    products=True,
    choices={"block": BLOCKS},
    least={"k": 1, "smallest": 0, "groups": 0, "rtol": 1e-12, "seed": 0},
)
