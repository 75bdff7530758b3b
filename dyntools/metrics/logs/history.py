"""History: what the log of a snapshot knows of one role, as arrays; or why it knows nothing.

A snapshot's log ends at its step, so that a metric cannot see the future.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dyntools.log import Role

if TYPE_CHECKING:
    from dyntools.snapshot import Snapshot

WORDS = {
    Role.train_loss: "training loss",
    Role.validation_loss: "validation loss",
    Role.gradient_norm: "gradient norm",
    Role.train_accuracy: "training accuracy",
    Role.validation_accuracy: "validation accuracy",
}


@dataclass(frozen=True, eq=False)
class History:
    """The points of one curve up to the snapshot.

    steps: (n,) strictly increasing. values: (n,) NaN and infinity kept.
    """

    steps: NDArray[np.int64]
    values: NDArray[np.float64]

    @property
    def finite(self) -> History:
        """Without the points that are NaN or infinite."""
        kept = np.isfinite(self.values)
        return History(self.steps[kept], self.values[kept])

    def __len__(self) -> int:
        return len(self.steps)


def history(snapshot: Snapshot, role: Role) -> History:
    """The curve of this role up to the snapshot's step, empty where there is none."""
    curve = snapshot.log.curve(role) if snapshot.log is not None else None
    if curve is None:
        return History(np.empty(0, dtype=np.int64), np.empty(0))
    return History(curve.steps, curve.values)


def missing(snapshot: Snapshot, role: Role) -> str:
    """What a metric says that needs this role and has not one finite point of it."""
    at = f"up to {snapshot.log.unit if snapshot.log is not None else 'step'} {snapshot.step}"
    return (
        f"the log holds no {WORDS[role]} {at}; supply it with --logs, "
        f"or name its curve with --role {role}=NAME"
    )
