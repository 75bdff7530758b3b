"""Where gradients come from: those of training where a snapshot has them, else the problem's.

The gradient of a problem is that of fixed examples, mostly more than a batch of training has, at
the weights after the step: another quantity, which `PROBE` says of a number that rests on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.snapshot import Snapshot

PROBE = "gradient of the probe, not of training"
NAMELESS = "its gradient is not known, as its name is not"
GONE = (
    "it has no gradient now: it took no part in the loss, or zero_grad() came first; measure after"
    " optimizer.step() and before zero_grad()"
)


def of_training(snapshot: Snapshot) -> bool:
    """Whether `gradient` gives those of training."""
    return snapshot.gradients is not None


def gradient(snapshot: Snapshot, name: str) -> Tensor | str:
    """The gradient of one tensor, or why there is none.

    Raises ProblemError when the problem does not fit the snapshot.
    """
    if name not in snapshot.params:
        return NAMELESS
    if snapshot.gradients is not None:
        return snapshot.gradients.get(name, GONE)
    return snapshot.gradient_of_problem(name)
