"""hessian_diagonal: the mean absolute diagonal entry of the Hessian, tensor by tensor.

    d = mean over the probes of v ∘ H v,      value = (1/n) Σ_i |H_ii|,      one per layer

Unit: loss per weight squared. Second-order methods that scale every coordinate by |H_ii| are
AdaHessian (Yao et al. 2021, arXiv:2006.00719) and Sophia (Liu et al. 2024, arXiv:2305.14342); they
and Adam gain where the diagonal is small and uneven, see Xie, Mohamadi & Li 2024, arXiv:2410.08198,
on Adam and the ℓ∞ geometry of the loss. Noise does not cancel in |d_i|, so two means bracket it:

    E[sign(d_i without group g) · d_i of group g]  ≤  |H_ii|  ≤  E|d_i|
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from dyntools.measurement import Measurement, per_layer
from dyntools.metrics.curvature import hutchinson
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.snapshot import Snapshot


def measure(
    snapshot: Snapshot,
    *,
    matrix: str = "hessian",
    probes: int = hutchinson.PROBES,
    seed: int = 0,
) -> Measurement:
    """The middle of the bracket; the error is half of it and one standard error.

    matrix: `hessian`, or `gauss_newton`, whose diagonal is never negative.
    probes: random products; 16, chosen, shared with `block_sharpness`.
    """
    parts = hutchinson.parts(snapshot, matrix, probes, seed)
    values, errors, reasons = {}, {}, {}
    for name, part in parts.items():
        if not math.isfinite(part.upper):
            values[name] = math.nan
            reasons[name] = "the product with the curvature matrix is not finite"
            continue
        lower = max(part.lower, 0.0)
        values[name] = (part.upper + lower) / 2
        errors[name] = abs(part.upper - lower) / 2 + part.lower_error
    beside = {
        "mean": {name: float(part.sums.mean()) / part.size for name, part in parts.items()},
        "mean_error": {
            name: float(hutchinson.standard_error(part.sums)) / part.size
            for name, part in parts.items()
        },
        "rms": {name: math.sqrt(max(part.square, 0.0)) for name, part in parts.items()},
        "l1": {name: values[name] * part.size for name, part in parts.items()},
        "positive": {name: part.positive for name, part in parts.items()},
        "negative": {name: part.negative for name, part in parts.items()},
    }
    found = per_layer(
        values,
        error=errors,
        beside=beside,
        skipped=reasons,
        method=f"Hutchinson, {probes} Rademacher probes",
    )
    return replace(found, matvecs=probes)


METRIC = Metric(
    name="hessian_diagonal",
    group="curvature",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    dims=("layer",),
    unit="loss / weight²",
    what="mean absolute diagonal entry of the Hessian, tensor by tensor",
    paper="Yao et al. 2021, arXiv:2006.00719; Liu et al. 2024, arXiv:2305.14342; "
    "Xie et al. 2024, arXiv:2410.08198",
    cost="one product a probe, 16; shared with block_sharpness",
    products=True,
    choices={"matrix": hutchinson.MATRICES},
    least={"probes": 2},
)
