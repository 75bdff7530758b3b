"""Gradient test: whether the gradient is the derivative of the loss.

    g·v = (L(θ + hv) - L(θ - hv)) / 2h + O(h²)      for a random v

Looked at in float64 on a few examples, where it holds to seven digits or not at all. It catches a
custom backward that is not the derivative of its forward, a detach() and a straight-through
estimator. No second derivative is needed. What `self_test` shares with it, the few examples and the
point at which they are looked at, has its home here.

The row that an embedding pads with (`padding_idx`) moves the loss and gets no gradient, by design:
it is no parameter. Every v is zero there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from dyntools.errors import ProblemError
from dyntools.linalg.vectors import dot, norm
from dyntools.problem.batches import Batch
from dyntools.problem.conditions import is_whole
from dyntools.problem.memory import ran_out
from dyntools.problem.obstacles import refuse_reentrant
from dyntools.problem.probe import counted, read_batch
from dyntools.problem.risk import Risk
from dyntools.problem.watch import Watch

EXAMPLES = 2  # enough to meet every operation of the model; chosen
SLOPE = 1e-3  # relative, of the gradient along a random direction; right ones: 1e-7; chosen
STEPS = (1e-5, 1e-7)  # relative to |θ|; the second in case a kink was crossed; chosen
MOVED = 1e-2  # of |θ|, away from the kinks on which fresh weights lie; chosen


def gradient_test(risk: Risk) -> None:
    """On a few examples of the problem; none where the model insists on less than float64.

    Raises ProblemError when the gradient is another function's.
    """
    batch = few(risk)
    refuse_reentrant(risk.loss_of(batch), risk.problem)
    exact = in_float64(risk, batch)
    if exact is None:
        return
    leave_kinks(exact)
    v, gradient = direction(exact, 2), exact.gradient()
    along, changes = float(dot(gradient, v)), []
    for step in STEPS:
        h = step * max(float(norm(exact.theta)), 1.0)
        ahead, behind = exact.loss(exact.theta + h * v), exact.loss(exact.theta - h * v)
        change = (ahead - behind) / (2 * h)
        rounding = 100 * torch.finfo(torch.float64).eps * abs(ahead) / h
        # Written so that a loss that is not a number there is refused.
        if abs(along - change) <= SLOPE * max(abs(along), abs(change)) + rounding:
            return
        changes.append(change)
    if rounds(exact):
        return
    raise ProblemError(
        "The gradient of this model is not the derivative of its loss.",
        where=risk.problem.source or None,
        found=f"{along:.6g} along a random direction, where the loss changes by {changes[0]:.6g}",
        remedy="a custom backward, a detach() or a straight-through estimator is not the slope of"
        " this loss",
    )


def few(risk: Risk) -> Batch:
    """The examples of a test."""
    return counted(risk.probe, None if is_whole(risk.problem) else EXAMPLES)


def in_float64(risk: Risk, batch: Batch) -> Risk | None:
    """The same problem on a few examples in float64; None where it cannot be evaluated."""
    fine = risk.on([batch], torch.float64)
    try:
        fine.loss()
    except (RuntimeError, TypeError) as error:
        if ran_out(error):
            raise
        return None
    return fine


def leave_kinks(risk: Risk) -> None:
    """Move a little at random, for the operations are tested and not the point.

    With biases of zero, blank pixels lie exactly on the kink of a ReLU, where no difference of
    gradients has a limit.
    """
    length = MOVED * max(float(norm(risk.theta)), 1.0)
    risk.theta.add_(direction(risk, 3), alpha=length)


def direction(risk: Risk, seed: int) -> Tensor:
    """A random unit vector (n,), zero in the rows that an embedding pads with."""
    generator = torch.Generator().manual_seed(seed)
    vector = torch.randn(risk.size, generator=generator, dtype=torch.float64)
    parts = risk.layout.split(vector)
    for leaf, row in padding(risk):
        parts[leaf][row] = 0.0
    vector /= norm(vector)
    return vector.to(risk.device, risk.dtype)


def padding(risk: Risk) -> set[tuple[int, int]]:
    """The number of a parameter and its row, where an embedding masks the gradient."""

    def look() -> set[tuple[int, int]]:
        seen = _Padding(risk.leaves)
        with torch.no_grad(), seen:
            risk.loss_of(read_batch(risk.probe, 0))
        return seen.rows

    key = ("padding", risk.layout.names)
    return risk.problem.once(key, look)  # type: ignore[no-any-return]


def rounds(risk: Risk) -> bool:
    """Whether a model in float64 computes some of its values in less."""
    batch = read_batch(risk.probe, 0)  # in float64 already, as a cast would be seen too
    with _Precisions() as seen:
        risk.loss_of(batch)
    return bool(seen.lower)


class _Padding(TorchFunctionMode):
    """Notes the rows that embeddings pad with. leaves: the parameters of the model."""

    def __init__(self, leaves: Sequence[Tensor]) -> None:
        super().__init__()
        self.rows: set[tuple[int, int]] = set()
        self._leaves = {id(leaf): i for i, leaf in enumerate(leaves)}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is F.embedding:
            self._note(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _note(
        self, input: Tensor, weight: Tensor, padding_idx: int | None = None, *_: Any, **__: Any
    ) -> None:
        leaf = self._leaves.get(id(weight))
        if leaf is not None and padding_idx is not None:
            self.rows.add((leaf, padding_idx % len(weight)))


class _Precisions(Watch):  # type: ignore[no-untyped-call]
    """Notes floating-point results of less than float64."""

    def __init__(self) -> None:
        super().__init__()
        self.lower: set[torch.dtype] = set()

    def saw(self, given: Sequence[Tensor], made: Sequence[Tensor]) -> None:
        self.lower |= {t.dtype for t in made if t.is_floating_point()} - {torch.float64}
