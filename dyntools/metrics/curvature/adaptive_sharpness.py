"""adaptive_sharpness: the rise of the loss over a step measured in units of the weights themselves.

    T = diag(|w| + η),    e = ρ T² g / |T g|,    value = L(w + e) - L(w)      one number, unit: loss

Rescaling the layers of a ReLU network leaves its function as it is and changes what `sam_sharpness`
says; at η = 0 this value stays. Kwon et al. 2021, ASAM: Adaptive sharpness-aware minimization for
scale-invariant learning of deep neural networks, arXiv:2102.11600.
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
    rho: float = 0.5,
    eta: float = 0.01,
    m: int = 0,
    groups: int = ascent.GROUPS,
    seed: int = 0,
) -> Measurement:
    """The rise of the loss over the step.

    rho: 0.5, the paper's for CIFAR-10; 1.0 for CIFAR-100.
    eta: 0.01, the paper's: lets weights near zero move. Every tensor is scaled, as the paper's
        formula has it; the authors' code leaves biases and norms (T = 1) out.
    m, groups: groups of m examples as in `sam_sharpness`; 0, chosen, is the whole probe.
    """
    scale = snapshot.risk().theta.abs() + eta
    return ascent.measured(snapshot, rho, scale, m, groups, seed, flatness=False)


METRIC = Metric(
    name="adaptive_sharpness",
    group="curvature",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    dims=(),
    unit="loss",
    what="rise of the loss over a step in units of the weights",
    paper="Kwon et al. 2021, arXiv:2102.11600",
    cost="one gradient and two losses; with m, of every group",
    least={"rho": 1e-12, "eta": 0, "m": 0, "groups": 2},
)
