"""hessian_density: how the eigenvalues of the Hessian are distributed, all of them.

    ρ(x) = (1/n) Σ_i N(x; λ_i / s, width²),      s = max |λ_i|,      x = -1, -0.99, …, 1

One number per block and relative eigenvalue x, so that the axis is the same at every step and for
every model; `eigenvalue` beside it is s·x. Each eigenvalue is a normal curve of the given width, ρ
has area 1. By stochastic Lanczos quadrature (`quadrature`): Ghorbani, Krishnan & Xiao 2019, An
investigation into neural net optimization via Hessian eigenvalue density, arXiv:1901.10159; Papyan
2018, arXiv:1811.07062.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dyntools.measurement import Measurement, Status, stacked
from dyntools.metrics.curvature.blocks import BLOCKS, blocks_of
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.linalg.density import Density
    from dyntools.snapshot import Snapshot

Vector = NDArray[np.float64]
AXIS = "relative_eigenvalue"
SPACING = 0.01  # chosen: a third of the width of a curve, so that no peak falls between two
POINTS = tuple(round(SPACING * i, 2) for i in range(-100, 101))


def measure(
    snapshot: Snapshot,
    *,
    probes: int = 4,
    steps: int = 40,
    width: float = 0.03,
    block: str = "none",
    seed: int = 0,
) -> Measurement:
    """The density at 201 points, with the count of eigenvalues around each.

    probes: random vectors; 4, chosen: half of the cost of a whole analysis as it is, see the error.
    steps: products, and nodes, of a probe; 40, chosen: ten outliers are found in 28 to 34.
    width: of a curve, as a share of s; 0.03, the least at which 40 nodes gave honest errors on four
        spectra (measured); at 0.02 a bulk as wide as the axis wants 60 steps.
    block: `layer` adds the density of every tensor's diagonal block, `kind` of all tensors of one
        kind together; each costs as much as the whole.
    """
    from dyntools.linalg.density import density
    from dyntools.operators.hessian import hessian

    risk = snapshot.risk()
    assert snapshot.problem is not None
    memory = snapshot.problem.engine.basis_memory
    found = {}
    for name, part in blocks_of(snapshot, block).items():
        operator = hessian(risk, part)
        rules = density(operator, probes, steps, seed, memory=memory)
        found[name] = _on_axis(rules, operator.size, width, name)
    return stacked("block", found)


def _on_axis(rules: Density, size: int, width: float, name: str) -> Measurement:
    scale = float(np.abs(rules.nodes).max())
    if not math.isfinite(scale):
        return _failed(name, "the product with the Hessian is not finite")
    if scale == 0.0:
        return _failed(name, "the Hessian is zero, so there is nothing to scale by")
    points = np.array(POINTS)
    values, spread = rules.at(points * scale, width * scale)
    error = np.maximum(spread, _chance(rules, points * scale, width * scale, size))
    probes, steps = rules.nodes.shape
    reorthogonalised = "" if rules.reorthogonalised else ", without reorthogonalisation"
    return Measurement(
        values * scale,
        (AXIS,),
        {AXIS: POINTS},
        error=error * scale,
        beside={
            "eigenvalue": points * scale,
            "count": values * scale * size * SPACING,
        },
        method=f"Lanczos quadrature, {probes} probes of {steps} steps{reorthogonalised}",
        matvecs=rules.products,
    )


def _chance(rules: Density, points: Vector, width: float, size: int) -> Vector:
    """The standard error that random starts have, from the density itself, (K,).

    The weights of the n eigenvalues in a random direction are Dirichlet(½, …, ½), so for p probes
    the variance of the mean of g is 2/(n + 2) · (⟨g²⟩ - ⟨g⟩²) / p. The spread over few probes is
    too small just where an eigenvalue of its own got too little weight.
    """
    curve, _ = rules.at(points, width)
    # The square of a normal curve is one of width/√2, times its height.
    square, _ = rules.at(points, width / math.sqrt(2.0))
    square = square / (2.0 * math.sqrt(math.pi) * width)
    variance = 2.0 / (size + 2) * np.maximum(square - curve**2, 0.0)
    return np.asarray(np.sqrt(variance / len(rules.nodes)))


def _failed(name: str, reason: str) -> Measurement:
    nothing = np.full(len(POINTS), np.nan)
    return Measurement(
        nothing,
        (AXIS,),
        {AXIS: POINTS},
        error=nothing,
        status=np.full(len(POINTS), Status.failed, dtype=np.int8),
        beside={"eigenvalue": nothing, "count": nothing},
        skipped={name: reason},
    )


METRIC = Metric(
    name="hessian_density",
    group="curvature",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    dims=("block", AXIS),
    unit="share / relative eigenvalue",
    what="density of the eigenvalues of the Hessian",
    paper="Ghorbani et al. 2019, arXiv:1901.10159; Papyan 2018, arXiv:1811.07062",
    cost="a product for each step of each probe, 160",
    products=True,
    choices={"block": BLOCKS},
    least={"probes": 2, "steps": 2, "width": 1e-3},
)
