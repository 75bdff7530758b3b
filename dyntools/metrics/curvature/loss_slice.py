"""loss_slice: the loss along lines through the checkpoint, in units of the weights themselves.

    value = L(θ + x d),    d_f ← d_f / |d_f| · |θ_f| for every filter f, 0 for biases and norms

One number per direction (random, gradient) and position x, unit: loss. Filters are what one output
unit sees: rows of a matrix, kernels of a convolution. So normalised, a slice does not change when
layers are rescaled without changing the network: Li et al. 2018, Visualizing the loss landscape of
neural nets, arXiv:1712.09913. Beside it the parabola L + x gᵀd + ½ x² dᵀHd from the gradient and
one product: where it leaves the slice, curvature at the checkpoint says nothing any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dyntools.measurement import Measurement, Status
from dyntools.metrics.curvature import rounding
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.problem.layout import Layout
    from dyntools.snapshot import Snapshot

DIRECTIONS = ("random", "gradient")


def filter_normalised(direction: Tensor, weights: Tensor, layout: Layout) -> Tensor:
    """d (n,) with every filter as long as that of θ (n,); zero where a tensor has no filters."""
    pairs = zip(layout.split(direction), layout.split(weights), strict=True)
    return layout.flatten([_by_filter(d, w) for d, w in pairs])


def measure(
    snapshot: Snapshot, *, points: int = 21, span: float = 1.0, seed: int = 0
) -> Measurement:
    """The loss at evenly spaced positions from -span to span along both directions.

    points: 21, chosen: each costs a forward pass.
    span: 1, the paper's: every filter moves by its own length.
    seed: of the random direction, the same one at every step.
    """
    import torch

    from dyntools.linalg.vectors import dot

    risk = snapshot.risk()
    before, gradient = risk.products, risk.gradient()
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(risk.size, generator=generator).to(risk.theta)
    positions = np.round(np.linspace(-span, span, points), 12)
    shape = (len(DIRECTIONS), points)
    losses, parabolas = np.full(shape, np.nan), np.full(shape, np.nan)
    here = risk.loss()
    for i, raw in enumerate((drawn, gradient)):
        d = filter_normalised(raw, risk.theta, risk.layout)
        losses[i] = [risk.loss(risk.theta + x * d) for x in positions.tolist()]
        slope, curvature = float(dot(gradient, d)), float(dot(d, risk.product(d)))
        parabolas[i] = here + positions * slope + positions**2 * (curvature / 2)
    finite = np.isfinite(losses)
    values = np.where(finite, losses, np.nan)
    return Measurement(
        values,
        ("direction", "position"),
        {"direction": DIRECTIONS, "position": tuple(positions.tolist())},
        error=rounding.of_loss(risk, 1.0) * np.abs(values),
        status=np.where(finite, int(Status.ok), int(Status.failed)),
        beside={"parabola": parabolas},
        skipped={} if finite.all() else {"": "the loss is not finite at some positions"},
        method=f"{points} points from {-span:g} to {span:g} filter lengths",
        matvecs=risk.products - before,
    )


def _by_filter(direction: Tensor, weights: Tensor) -> Tensor:
    import torch

    if weights.ndim <= 1:
        return torch.zeros_like(weights)
    rows = direction.flatten(1)
    wanted, has = (
        torch.linalg.vector_norm(t, dim=1, keepdim=True, dtype=torch.float64)
        for t in (weights.flatten(1), rows)
    )
    scale = torch.where(has > 0, wanted / has, 0.0)
    return rows * scale.to(rows)


METRIC = Metric(
    name="loss_slice",
    group="curvature",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    dims=("direction", "position"),
    unit="loss",
    what="loss along a random line through the weights, and along the gradient",
    paper="Li et al. 2018, arXiv:1712.09913",
    cost="42 forward passes, two products",
    products=True,
    least={"points": 3, "span": 1e-9, "seed": 0},
)
