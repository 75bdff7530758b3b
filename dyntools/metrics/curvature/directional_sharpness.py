"""directional_sharpness: the curvature of the loss along the directions in which training moves.

    value = uᵀ H u / |u|²,    u: gradient · update θ_t - θ_{t-1} · adam -m̂ / (√v̂ + eps)

One number per direction, unit: loss per weight squared. A step ε u/|u| changes the loss by
ε gᵀu/|u| + ½ ε² · value, so it is this number, not λ_1, that limits a step along u. Pan & Li 2023,
Toward understanding why Adam converges faster than SGD for transformers, arXiv:2306.00204: along
Adam's updates it is far lower than along those of SGD. One Hessian-vector product a direction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dyntools.measurement import Measurement, Status
from dyntools.metrics.curvature import directions
from dyntools.metrics.curvature.edge import companions
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.linalg.operator import Operator
    from dyntools.snapshot import Snapshot


def along(matrix: Operator, direction: Tensor) -> tuple[float, float]:
    """uᵀAu / uᵀu of a direction (n,) that is not zero, and what rounding may change of it."""
    import torch

    from dyntools.linalg.ritz import ROUNDING
    from dyntools.linalg.vectors import dot, norm

    unit = direction / norm(direction).to(direction)
    product = matrix(unit)
    value = float(dot(unit, product) / dot(unit, unit))
    return value, ROUNDING * torch.finfo(matrix.dtype).eps * float(norm(product))


def measure(snapshot: Snapshot) -> Measurement:
    """The curvature along the gradient, the last update and, where it trains with Adam, Adam's."""
    from dyntools.linalg.vectors import dot
    from dyntools.operators.hessian import hessian

    risk = snapshot.risk()
    matrix, before = hessian(risk), risk.products
    gradient = risk.gradient()
    slope = directions.length(gradient)
    names = directions.NAMES if _has_adam(snapshot) else directions.NAMES[:2]
    values, errors, cosines = (np.full(len(names), np.nan) for _ in range(3))
    status = np.full(len(names), int(Status.failed), dtype=np.int8)
    reasons = {}
    for i, name in enumerate(names):
        step = -gradient if name == "gradient" else directions.direction(snapshot, name)
        if isinstance(step, str):
            status[i], reasons[name] = Status.absent, step
            continue
        size = directions.length(step)
        if size == 0.0:
            reasons[name] = "this direction is zero or not finite"
            continue
        values[i], errors[i] = along(matrix, step)
        if not np.isfinite(values[i]):
            values[i], reasons[name] = np.nan, "the product with the Hessian is not finite"
            continue
        status[i] = Status.ok
        if slope > 0.0:
            cosines[i] = -float(dot(step, gradient)) / (size * slope)
    return Measurement(
        values,
        ("direction",),
        {"direction": names},
        error=errors,
        status=status,
        beside={"cosine": cosines, **companions(snapshot, values, preconditioned=False)},
        skipped=reasons,
        method="one product a direction",
        matvecs=risk.products - before,
    )


def _has_adam(snapshot: Snapshot) -> bool:
    state = snapshot.known_optimizer
    return state is not None and state.family.startswith("adam")


METRIC = Metric(
    name="directional_sharpness",
    group="curvature",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    uses=("previous",),
    dims=("direction",),
    unit="loss / weight²",
    what="curvature of the loss along the gradient and the update",
    paper="Pan & Li 2023, arXiv:2306.00204",
    cost="one gradient and one product a direction",
    products=True,
)
