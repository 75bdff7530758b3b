"""sam_sharpness: the rise of the loss at the end of a step of length ρ up the gradient.

    value = L(w + ρ g/|g|) - L(w)  ≈  max over |e| ≤ ρ of L(w + e) - L(w)    one number, unit: loss

Foret et al. 2021, Sharpness-aware minimization, arXiv:2010.01412; with m, their m-sharpness: every
group of m examples climbs its own gradient on its own loss, and the rises are averaged. Beside it
ρ|g|, the linear part, and ρ|g(w + ρ g/|g|)|, the first-order flatness of Zhang et al. 2023,
Gradient norm aware minimization, arXiv:2303.03108.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dyntools.measurement import Measurement
from dyntools.metrics.curvature import ascent
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.snapshot import Snapshot


def measure(
    snapshot: Snapshot,
    *,
    rho: float = 0.05,
    m: int = 0,
    groups: int = ascent.GROUPS,
    seed: int = 0,
) -> Measurement:
    """The rise of the loss over the step.

    rho: length of the step; 0.05, the paper's default.
    m: examples of a group; 0, chosen, takes the whole probe as one: no sampling in the value.
    groups: at most so many groups, drawn at random without overlap; 16, chosen.
    """
    return ascent.measured(snapshot, rho, None, m, groups, seed)


METRIC = Metric(
    name="sam_sharpness",
    group="curvature",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    dims=(),
    unit="loss",
    what="rise of the loss over a step of fixed length up the gradient",
    paper="Foret et al. 2021, arXiv:2010.01412; Zhang et al. 2023, arXiv:2303.03108",
    cost="two gradients and two losses; with m, of every group",
    least={"rho": 1e-12, "m": 0, "groups": 2},
)
