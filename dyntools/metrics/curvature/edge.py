"""Where an eigenvalue stands: beside it the learning rate and the optimizer's own threshold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from dyntools.snapshot import Snapshot


def companions(
    snapshot: Snapshot, values: NDArray[np.float64], *, preconditioned: bool
) -> dict[str, NDArray[np.float64]]:
    """`learning_rate`, and `threshold`: the sharpness at which this optimizer loses stability.

    The threshold of Adam belongs to the preconditioned Hessian, that of SGD to the Hessian itself;
    it is NaN beside the other. Both have the shape of `values`.
    """
    from dyntools.operators import stability

    rate = edge = math.nan
    state = snapshot.known_optimizer
    if state is not None:
        rate = stability.learning_rate(state)
        if state.family.startswith("adam") == preconditioned:
            edge = stability.threshold(state)
    return {
        "learning_rate": np.full(values.shape, rate),
        "threshold": np.full(values.shape, edge),
    }
