"""Rounding: what a loss may be off by, as it is computed in the precision of its problem."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dyntools.problem.risk import Risk

# A loss is rounded by about ε · L in each sum it goes through; chosen, above all that was measured.
# A small loss is a difference of logits, or of like terms of order one, and is rounded as they are.
ROUNDING = 16.0


def of_loss(risk: Risk, loss: float) -> float:
    """The rounding of a loss of this size."""
    import torch

    return ROUNDING * float(torch.finfo(risk.dtype).eps) * max(abs(loss), 1.0)
