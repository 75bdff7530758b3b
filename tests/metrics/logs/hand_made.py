"""Logs made by hand, and snapshots of them at a step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from dyntools.log import Curve, Log, Role
from dyntools.snapshot import Snapshot, Tensors

Points = tuple[Sequence[int] | np.ndarray, ArrayLike]


def log_of(*, unit: str = "step", **roles: Points) -> Log:
    """`train_loss=(steps, values)` and so on, each under its role's name."""
    curves = {
        role: Curve(
            name=role,
            steps=np.asarray(steps, dtype=np.int64),
            values=np.asarray(values, dtype=np.float64),
            unit=unit,
            wall=None,
            source="log.jsonl",
        )
        for role, (steps, values) in roles.items()
    }
    return Log(("log.jsonl",), ("jsonl",), curves, {Role(role): role for role in roles}, ())


def snapshot_of(log: Log | None, step: int | None = None) -> Snapshot:
    """No model, and the log up to this step; up to its end where none is given."""
    if log is not None and step is None:
        step = log.last_step
    here = step or 0
    history = None if log is None else log.until(here)
    return Snapshot(step=here, params=Tensors.of({}), log=history)
