"""Second moments where none were saved: Adam's running averages over gradients at fixed weights.

    m ← β1 m + (1-β1) g_i,   v ← β2 v + (1-β2) g_i²,   i = 1 … N,   g_i the gradient of batch i

as Adam computes them (Kingma & Ba 2015, arXiv:1412.6980), but with the weights held still, so that
v holds no memory of weights that the run has left behind. Batches are drawn without replacement
from the examples of the problem, shuffled anew when they are used up. With batches of one example v
estimates the mean squared gradient of an example, the diagonal of the empirical Fisher matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from dyntools.checkpoint import Entry, OptimizerState
from dyntools.errors import ProblemError

if TYPE_CHECKING:
    from torch import Tensor

    from dyntools.problem.risk import Risk


@dataclass(frozen=True)
class Estimate:
    """How second moments are estimated. Raises ValueError for settings out of range.

    gradients: N. batch: examples of each; None is the size of the problem's first batch.
    beta1, beta2: torch's defaults; give those of the training.
    """

    gradients: int
    batch: int | None = None
    beta1: float = 0.9
    beta2: float = 0.999
    seed: int = 0

    def __post_init__(self) -> None:
        betas = 0.0 <= self.beta1 < 1.0 and 0.0 < self.beta2 < 1.0
        if (
            not betas
            or self.gradients < 1
            or self.seed < 0
            or (self.batch is not None and self.batch < 1)
        ):
            raise ValueError(f"no running averages can be taken with {self}")

    @property
    def sentence(self) -> str:
        """What a report says of numbers that rest on it."""
        of = "the problem's batches" if self.batch is None else f"batches of {self.batch}"
        return (
            f"estimated at fixed weights from {self.gradients} gradients of {of},"
            f" β2 {self.beta2:g}, seed {self.seed}"
        )


def estimated(risk: Risk, estimate: Estimate) -> OptimizerState:
    """The state that Adam would hold after these gradients; its learning rate is not known.

    Raises ProblemError when a batch is larger than the problem, or a gradient is not finite.
    """
    # In bfloat16 0.999 v is v: the average would never forget, and hardly ever learn.
    wide = torch.promote_types(risk.theta.dtype, torch.float32)
    first, second = (torch.zeros_like(risk.theta, dtype=wide) for _ in range(2))
    for examples in _drawn(risk, estimate):
        gradient = risk.part(examples).gradient().to(wide)
        first.lerp_(gradient, 1.0 - estimate.beta1)
        second.mul_(estimate.beta2).addcmul_(gradient, gradient, value=1.0 - estimate.beta2)
    if not bool(torch.isfinite(second).all()):
        raise ProblemError("A gradient of the problem is NaN or infinite.")
    return _state(risk, estimate, first, second)


def refuse_too_large(risk: Risk, estimate: Estimate) -> None:
    """Raises ProblemError when a batch is larger than the problem."""
    count = risk.probe.examples
    if estimate.batch is not None and estimate.batch > count:
        raise ProblemError(
            "A batch for the second moments is larger than the problem.",
            found=f"{estimate.batch} examples of {count}",
            remedy=f"--estimate-second-moments {estimate.gradients}:batch={max(count // 8, 1)}",
        )


def _drawn(risk: Risk, estimate: Estimate) -> Iterator[NDArray[np.int64]]:
    """The examples of each gradient, their numbers ascending."""
    refuse_too_large(risk, estimate)
    count = risk.probe.examples
    size = next(n for n in risk.probe.rows if n) if estimate.batch is None else estimate.batch
    generator = np.random.default_rng(estimate.seed)
    waiting = np.empty(0, dtype=np.int64)
    for _ in range(estimate.gradients):
        if len(waiting) < size:
            waiting = generator.permutation(count)
        yield np.sort(waiting[:size])
        waiting = waiting[size:]


def _state(risk: Risk, estimate: Estimate, first: Tensor, second: Tensor) -> OptimizerState:
    layout = risk.layout
    parts = zip(layout.names, layout.split(first), layout.split(second), strict=True)
    state = {
        name: {
            "step": _entry(torch.tensor(float(estimate.gradients))),
            "exp_avg": _entry(m),
            "exp_avg_sq": _entry(v),
        }
        for name, m, v in parts
    }
    group = {"betas": (estimate.beta1, estimate.beta2), "eps": 1e-8, "params": layout.names}
    return OptimizerState("adam", (group,), state, "by name", estimated=estimate.sentence)


def _entry(tensor: Tensor) -> Entry:
    kept = tensor.detach().cpu()
    return Entry(tuple(kept.shape), str(kept.dtype).removeprefix("torch."), lambda: kept)
