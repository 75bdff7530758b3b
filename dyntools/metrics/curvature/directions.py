"""Directions: where the weights go next, by the gradient, by the optimizer, or as they went before.

    gradient  -g        update  θ_t - θ_{t-1}        adam  -m̂ / (√v̂ + eps)

Each is a flat vector (n,) along which a step of training moves, not normalised. θ_{t-1} is the
checkpoint before on disk, however many steps of training lie between; m̂ and v̂ are the moments in
the checkpoint, corrected for bias: the step that Adam has just taken, once more (Kingma & Ba 2015,
arXiv:1412.6980, algorithm 1).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dyntools.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.problem.layout import Layout
    from dyntools.snapshot import Snapshot

NAMES = ("gradient", "update", "adam")


def direction(snapshot: Snapshot, name: str) -> Tensor | str:
    """The step (n,) in the layout and precision of the risk, or why there is none."""
    if name == "gradient":
        return -snapshot.risk().gradient()
    return _update(snapshot) if name == "update" else _adam(snapshot)


def length(vector: Tensor) -> float:
    """Its Euclidean length; 0 also where it is not finite, as it then points nowhere."""
    from dyntools.linalg.vectors import norm

    found = float(norm(vector))
    return found if math.isfinite(found) else 0.0


def misfit(snapshot: Snapshot, layout: Layout) -> str:
    """Why the weights of another snapshot do not lie in this layout, "" where they do."""
    for name, shape in zip(layout.names, layout.shapes, strict=True):
        other = snapshot.params.shapes.get(name)
        if other != shape:
            has = "no" if other is None else "another shape of"
            return f"the checkpoint at step {snapshot.step} has {has} {name}"
    return ""


def learning_rate(snapshot: Snapshot) -> float:
    """The learning rate in the optimizer's state, NaN where there is none."""
    from dyntools.operators import stability

    state = snapshot.known_optimizer
    return math.nan if state is None else stability.learning_rate(state)


def _update(snapshot: Snapshot) -> Tensor | str:
    before = snapshot.previous
    if before is None:
        return "there is no checkpoint before this one"
    risk = snapshot.risk()
    if reason := misfit(before, risk.layout):
        return reason
    # In float64: the update is far smaller than the weights.
    moved = [
        (snapshot.params[name].double() - before.params[name].double()).to(risk.device, risk.dtype)
        for name in risk.layout.names
    ]
    return risk.layout.flatten(moved)


def _adam(snapshot: Snapshot) -> Tensor | str:
    import torch

    from dyntools.operators import adam

    risk = snapshot.risk()
    try:
        state = snapshot.optimizer
        if state is None:
            return "there is no optimizer state"
        if reason := adam.unfit(state):
            return reason
        scale = adam.preconditioner(risk, state)  # holds the correction of m̂ as well
    except CheckpointError as error:
        return error.what + (f" ({error.found})" if error.found else "")
    firsts = [state.state[name].get("exp_avg") for name in risk.layout.names]
    moments = [first.read() for first in firsts if first is not None]
    if len(moments) < len(firsts):
        return "the optimizer state has no first moment of some weights"
    flat = torch.cat([moment.reshape(-1).to(risk.device, risk.dtype) for moment in moments])
    return -flat.div_(scale)
