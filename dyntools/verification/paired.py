"""Paired: two ways of training compared over the same orders of the examples.

    d_i = loss of the plan - loss of AdamW, in order i = 1 … n        mean d ± t(n-1) · s(d) / √n

t(n-1) is the 97.5 % quantile of Student's distribution (Student 1908, doi:10.1093/biomet/6.1.1):
4.30 at n = 3, so that three orders see only what is clear. What a change of order alone does to
AdamW's loss is the yardstick beside it: two runs that differ in nothing else are √2 s(AdamW) apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

CONFIDENCE = 0.95  # of every interval; usual


@dataclass(frozen=True)
class Interval:
    """A mean and the half width of its interval; NaN where a value is not finite."""

    mean: float
    half_width: float

    @property
    def low(self) -> float:
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        return self.mean + self.half_width

    @property
    def holds_zero(self) -> bool:
        """Whether no difference was seen; False where there is no interval."""
        return self.low <= 0.0 <= self.high


@dataclass(frozen=True)
class Arm:
    """One way of training, in all orders.

    losses: on the examples of the evaluation, after the last step; NaN or infinite where training
    diverged. training: mean loss of the mini-batches in the second half of the steps.
    state_bytes: of the optimizer's tensors, without the counters of steps.
    seconds: of a step, forward to update; optimizer_seconds: of the update alone; medians.
    """

    losses: tuple[float, ...]
    training: tuple[float, ...]
    state_bytes: int
    seconds: float
    optimizer_seconds: float

    @property
    def diverged(self) -> tuple[int, ...]:
        """The orders in which the loss was no longer finite."""
        return tuple(i for i, loss in enumerate(self.losses) if not math.isfinite(loss))


@dataclass(frozen=True)
class Verification:
    """AdamW and the plan, trained on from one checkpoint.

    step: of the checkpoint. start: loss there, on the examples of the evaluation.
    batch_size: examples of a mini-batch; seeds: of the orders. examples: trained on, evaluated on.
    evaluated: what the losses are of. limits: sentences on what this cannot tell.
    """

    step: int
    steps: int
    seeds: tuple[int, ...]
    batch_size: int
    learning_rate: float
    examples: tuple[int, int]
    start: float
    adamw: Arm
    plan: Arm
    evaluated: str
    limits: tuple[str, ...]

    @property
    def differences(self) -> tuple[float, ...]:
        """Loss of the plan less that of AdamW in each order, on the examples of the evaluation."""
        return _differences(self.plan.losses, self.adamw.losses)

    @property
    def difference(self) -> Interval:
        """Of the mean of the differences."""
        return interval_of(self.differences)

    @property
    def training_difference(self) -> Interval:
        """The same of the mini-batches' own losses."""
        return interval_of(_differences(self.plan.training, self.adamw.training))

    @property
    def detectable(self) -> float:
        """A mean difference smaller than this could not have been told from none."""
        return self.difference.half_width

    @property
    def order_spread(self) -> float:
        """How far two runs of AdamW are apart that differ in the order alone, root mean square."""
        losses = np.asarray(self.adamw.losses)
        return math.sqrt(2.0) * float(losses.std(ddof=1)) if np.isfinite(losses).all() else math.nan

    @property
    def saved_bytes(self) -> int:
        """Of the optimizer's state."""
        return self.adamw.state_bytes - self.plan.state_bytes

    @property
    def verdict(self) -> str:
        """What was seen, in a sentence."""
        if told := self._divergence():
            return told
        if set(self.differences) == {0.0}:
            return "The losses are the same to the last bit."
        late = self.training_difference
        told = "" if late.holds_zero else f" On the mini-batches it is {_apart(late)}."
        seen, n = self.difference, len(self.seeds)
        if seen.holds_zero:
            return (
                f"No difference was seen; one smaller than {self.detectable:.2g} could not be told"
                f" from none with {n} orders of the examples.{told}"
            )
        return (
            f"The loss with the plan is {_apart(seen)}; another order alone moves the loss of AdamW"
            f" by {self.order_spread:.2g}.{told}"
        )

    def _divergence(self) -> str:
        n = len(self.seeds)
        plan, adamw = len(self.plan.diverged), len(self.adamw.diverged)
        if not plan and not adamw:
            return ""
        told = f"Training diverged with the plan in {plan} of {n} orders"
        return f"{told}, with AdamW in {adamw}."


def interval_of(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The mean and its t-interval; NaN of fewer than two values, or where one is not finite."""
    found, n = np.asarray(values, dtype=np.float64), len(values)
    if n < 2 or not np.isfinite(found).all():
        return Interval(math.nan, math.nan)
    quantile = float(student.ppf((1.0 + confidence) / 2.0, n - 1))
    return Interval(float(found.mean()), quantile * float(found.std(ddof=1)) / math.sqrt(n))


def _differences(these: Sequence[float], those: Sequence[float]) -> tuple[float, ...]:
    return tuple(a - b for a, b in zip(these, those, strict=True))


def _apart(difference: Interval) -> str:
    word = "higher" if difference.mean > 0 else "lower"
    return f"{word} by {abs(difference.mean):.2g} ± {difference.half_width:.2g}"
