"""norm_test: the batch size that the norm test asks for.

    value = tr Σ / (θ² |G|²)        the smallest B with E|g_B - G|² ≤ θ² |G|²,  in examples

A batch whose gradient is off by no more than θ of its length is large enough to descend:
Bollapragada, Byrd & Nocedal 2018, Adaptive sampling strategies for stochastic optimization,
arXiv:1710.11258. Lau et al. 2024, AdAdaGrad, arXiv:2402.11215, grow the batch by it. At θ = 1 it is
the noise scale. Beside it `inner_product`, GᵀΣG / (θ² |G|⁴), which asks only that a batch gradient
points downhill: the other test of Bollapragada et al., from few groups and so rough.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dyntools.metrics.gradients import noise
from dyntools.metrics.gradients.statistics import measured, statistics
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from dyntools.measurement import Measurement
    from dyntools.snapshot import Snapshot


def measure(snapshot: Snapshot, *, theta: float = 0.9) -> Measurement:
    """The batch with one standard error.

    theta: 0.9, that of the experiments of Bollapragada et al.
    """
    found = statistics(snapshot)
    one = noise.of_all(found)
    value = float(one.ratio) / theta**2
    fine = math.isfinite(value)
    along, _ = noise.along_mean(found)
    inner = along / (theta**2 * float(one.squared) ** 2) if fine else math.nan
    lowest, highest = one.bounds
    beside: dict[str, ArrayLike] = {
        "lowest": lowest / theta**2,
        "highest": highest / theta**2,
        "inner_product": inner,
        "examples": found.examples,
    }
    return measured(value, one.ratio_error / theta**2, beside, noise.why(one), found)


METRIC = Metric(
    name="norm_test",
    group="gradients",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    dims=(),
    unit="examples",
    what="batch size at which the error of a gradient is a given share of its length",
    paper="Bollapragada et al. 2018, arXiv:1710.11258; Lau et al. 2024, arXiv:2402.11215",
    cost="2 to 3 gradients, shared by all metrics of gradients by examples",
    least={"theta": 1e-3},
)
