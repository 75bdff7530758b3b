"""Guards: what must hold before any number of a problem is believed.

The loss is finite; two evaluations agree; and it is a mean with the stated weights. What takes
gradients also needs these to be its derivatives (see `gradient_test`), and what takes products with
second derivatives these to be derivatives of the gradient (see `self_test`). A model without a
second derivative passes all but the last, and one with a straight-through estimator the first: its
activations can be looked at. Each once for a problem, where it is first needed: two passes for the
loss, and a few evaluations of a few examples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress

import torch

from dyntools.errors import ProblemError
from dyntools.problem.batches import Batch, rows, take
from dyntools.problem.conditions import is_whole, undisturbed
from dyntools.problem.gradient_test import few, gradient_test, padding
from dyntools.problem.probe import counted
from dyntools.problem.risk import Risk
from dyntools.problem.self_test import SelfTest, self_test
from dyntools.problem.sharded import ShardedRisk
from dyntools.problem.sharded_test import sharded_test

REPEATED = 1e-5  # relative; atomic sums on a GPU differ by about 1e-7 from pass to pass
POOLED = 1e-4  # relative; rounding leaves 1e-6, a sum for a mean is off by a factor; chosen
SMALLEST = 1e-5  # loss below which rounding hides what is looked for, in float32
PART = 8  # examples whose mean is looked at; chosen


def check_loss(risk: Risk) -> None:
    """What every number needs, once for a problem. Raises ProblemError with the remedy."""
    risk.problem.once(("loss guarded", risk.device, risk.dtype), lambda: _check_loss(risk))


class _NothingToTest(Exception):
    """Where the loss is not finite; other weights will show whether derivatives are right."""


def check_gradient(risk: Risk) -> None:
    """What numbers from gradients need beside, once for a problem and by all ranks together.

    `Risk.gradient` asks for it, so that no caller can forget it; and asks again at other weights
    after some whose loss is not finite. Raises ProblemError.
    """
    if isinstance(risk, ShardedRisk):  # of which only products are wanted
        return

    def test() -> None:
        with risk.problem.ranks.agreeing("guards of gradients"):
            _refuse_nothing(risk)
            gradient_test(risk)

    with suppress(_NothingToTest):
        risk.problem.once(("gradient guarded", risk.device, risk.dtype), test)


def check_products(risk: Risk) -> SelfTest | None:
    """What numbers from products need beside, once for a problem and by all ranks together.

    `Risk.product` asks for it, so that no caller can forget it. None, and asked again, at weights
    whose loss is not finite: products are not either, and say so. Raises ProblemError.
    """

    check_gradient(risk)

    def test() -> SelfTest:
        with risk.problem.ranks.agreeing("guards of products"):
            _refuse_nothing(risk)
            _refuse_padding_by_differences(risk)
            return sharded_test(risk) if isinstance(risk, ShardedRisk) else self_test(risk)

    try:
        key = ("products guarded", risk.device, risk.dtype)
        return risk.problem.once(key, test)  # type: ignore[no-any-return]
    except _NothingToTest:
        return None


def _refuse_nothing(risk: Risk) -> None:
    if not math.isfinite(float(risk.loss_of(few(risk)).detach())):
        raise _NothingToTest


def _refuse_padding_by_differences(risk: Risk) -> None:
    """Differences of gradients along a row that gets no gradient would be no symmetric product."""
    if risk.problem.engine.hvp == "differences" and padding(risk.on([few(risk)])):
        raise ProblemError(
            "Differences of gradients move the row that an embedding pads with, which gets no "
            "gradient.",
            where=risk.problem.source or None,
            remedy="--hvp autograd, or padding_idx=None in the model of the problem: its row then "
            "counts as a parameter",
        )


def _check_loss(risk: Risk) -> None:
    _finite_and_repeatable(risk)
    _is_a_mean(risk)


def _finite_and_repeatable(risk: Risk) -> None:
    with undisturbed(risk.device):
        torch.manual_seed(0)  # of the two passes differ, else equal random numbers would agree
        first = risk.loss()
        torch.manual_seed(1)
        second = risk.loss()
    if not (math.isfinite(first) and math.isfinite(second)):
        raise ProblemError(
            "The loss of the problem is not finite.",
            where=risk.problem.source or None,
            found=f"{first}",
            remedy="check the data and the loss of the problem; a diverged checkpoint is left out "
            "with --steps",
        )
    if abs(first - second) > _coarse(risk, REPEATED) * max(abs(first), abs(second)):
        raise ProblemError(
            "Two evaluations of the loss at the same weights and examples differ.",
            where=risk.problem.source or None,
            found=f"{first:.6g}, then {second:.6g}",
            remedy="no functional dropout (F.dropout needs training=self.training), no sampling, "
            "no random augmentation inside model or loss",
        )


def _is_a_mean(risk: Risk) -> None:
    """The loss of a batch equals the weighted mean over its parts.

    Parts are uneven; under batch statistics, which no part shares, the batch and itself once more.
    """
    batch = counted(risk.probe, None)
    count = rows(batch)
    if is_whole(risk.problem):
        both = take(batch, torch.arange(count).repeat(2))
        parts, told = [batch, batch], f"{2 * count} examples, the same ones twice"
    else:
        count, cut = min(count, PART), max(min(count, PART) // 3, 1)
        if count < 2:
            return
        both, told = take(batch, slice(0, count)), f"{count} examples"
        parts = [take(batch, slice(0, cut)), take(batch, slice(cut, count))]
    whole, pooled = _losses(risk, both, parts)
    allowed = _coarse(risk, POOLED)
    if abs(pooled - whole) > max(allowed * max(abs(whole), abs(pooled)), SMALLEST * allowed):
        raise ProblemError(
            "The loss is not a mean over as many terms as `weight` says, so it would depend on how "
            "the examples are cut into batches.",
            where=risk.problem.source or None,
            found=f"{whole:.6g} on {told}; {pooled:.6g} pooled from two parts",
            remedy='a loss with reduction="mean", and weight=lambda batch: the number of terms '
            "that it is the mean over (for a language model: the counted tokens)",
        )


def _coarse(risk: Risk, tolerance: float) -> float:
    """The tolerance, or what the dtype's own rounding leaves: bfloat16 has two or three digits."""
    return max(tolerance, 8.0 * torch.finfo(risk.dtype).eps)


def _losses(risk: Risk, both: Batch, parts: Sequence[Batch]) -> tuple[float, float]:
    """Of the batch, and pooled from its parts; parts that do not count are left out."""
    terms = [risk.problem.terms(part) for part in parts]
    if not sum(terms) > 0:
        return 0.0, 0.0
    whole = float(risk.loss_of(both).detach())
    try:
        losses = [
            float(risk.loss_of(part).detach()) if t > 0 else 0.0
            for part, t in zip(parts, terms, strict=True)
        ]
    except (RuntimeError, ValueError, IndexError) as error:
        raise ProblemError(
            "Some of the examples of a batch cannot be evaluated without the others.",
            where=risk.problem.source or None,
            found=" ".join(str(error).split())[:160],
            remedy="the first axis of every tensor counts examples; what all of them share, with "
            "an axis as long by chance (a mask), belongs into `forward`",
        ) from error
    return whole, math.fsum(t * x for t, x in zip(terms, losses, strict=True)) / math.fsum(terms)
