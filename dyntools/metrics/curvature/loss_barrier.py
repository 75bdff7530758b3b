"""loss_barrier: how far the loss rises on the straight line between two checkpoints.

    value = max over α in [0, 1] of  L((1-α) θ' + α θ) - [(1-α) L(θ') + α L(θ)]       unit: loss

θ' is the checkpoint before, or the start. Zero where the loss is convex along the line. Without a
barrier the two lie in one basin, and their average is a model no worse than they are: Draxler et
al. 2018, Essentially no barriers in neural network energy landscape, arXiv:1803.00885; Garipov et
al. 2018, arXiv:1802.10026; Frankle et al. 2020, Linear mode connectivity and the lottery ticket
hypothesis, arXiv:1912.05671, who take the mean of both ends in place of the line between them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dyntools.measurement import Measurement, Status, skipped
from dyntools.metrics.curvature import directions, rounding
from dyntools.metrics.metric import Metric

if TYPE_CHECKING:
    from dyntools.snapshot import Snapshot

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Barrier:
    """height above the line between the ends, where it is highest, and what the grid may miss."""

    height: float
    position: float
    missed: float


def barrier(positions: Vector, losses: Vector) -> Barrier:
    """From losses at positions in [0, 1], both ends among them, (P,)."""
    excess = losses - (losses[0] + positions * (losses[-1] - losses[0]))
    top = int(np.argmax(excess))
    return Barrier(float(excess[top]), float(positions[top]), _missed(positions, excess))


def measure(snapshot: Snapshot, *, to: str = "previous", points: int = 21) -> Measurement:
    """The height of the barrier between this checkpoint and another.

    to: `previous`, the checkpoint before; `initial`, the start of training, as Goodfellow et al.
        2015, arXiv:1412.6544.
    points: on the line, both ends among them; 21, chosen: every one costs a forward pass.
    """
    import torch

    other = snapshot.previous if to == "previous" else snapshot.initial
    if other is None or not other.params.shapes:
        what = "there is no checkpoint before this one" if to == "previous" else "there is no start"
        return skipped(what)
    risk = snapshot.risk()
    if reason := directions.misfit(other, risk.layout):
        return skipped(reason)
    there = risk.layout.flatten([other.params[name] for name in risk.layout.names])
    there = there.to(risk.theta)
    positions = np.union1d(np.linspace(0.0, 1.0, points), 0.5)  # the middle is their average
    losses = np.array([risk.loss(torch.lerp(there, risk.theta, a)) for a in positions.tolist()])
    found = barrier(positions, losses)
    off = 2.0 * rounding.of_loss(risk, float(np.abs(losses).max()))
    finite = bool(np.isfinite(losses).all())
    beside = {
        "position": found.position if finite else math.nan,
        "loss_other": losses[0],
        "loss_here": losses[-1],
        "loss_of_average": losses[positions == 0.5].item(),
    }
    return Measurement(
        np.array(found.height if finite else math.nan),
        error=np.array(found.missed + off if finite else math.nan),
        status=np.array(int(Status.ok if finite else Status.failed), dtype=np.int8),
        beside={name: np.array(value) for name, value in beside.items()},
        skipped={} if finite else {"": "the loss is not finite everywhere on the line"},
        method=f"{len(positions)} points on the line to step {other.step}",
    )


def _missed(positions: Vector, excess: Vector) -> float:
    """How far a top between two points may rise above them: h²/8 · max(-f'')."""
    gaps = np.diff(positions)
    bends = 2.0 * np.diff(np.diff(excess) / gaps) / (positions[2:] - positions[:-2])
    return float(gaps.max() ** 2 / 8.0 * max(float(np.max(-bends)), 0.0))


METRIC = Metric(
    name="loss_barrier",
    group="curvature",
    version=1,
    measure=measure,
    needs=("params", "problem"),
    uses=("previous", "initial"),
    dims=(),
    unit="loss",
    what="height of the loss on the line to the checkpoint before",
    paper="Frankle et al. 2020, arXiv:1912.05671; Draxler et al. 2018, arXiv:1803.00885",
    cost="21 forward passes",
    choices={"to": ("previous", "initial")},
    least={"points": 3},
)
