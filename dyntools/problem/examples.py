"""Examples: the loss of every example of a batch by itself, for what sums over examples.

All at once by `torch.func.vmap`, differentiable as ever; one after another where the model holds
something that vmap does not know (a custom autograd.Function, control flow on values).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from dyntools.errors import ProblemError
from dyntools.problem.batches import Batch, is_along, rows, take
from dyntools.problem.conditions import is_whole
from dyntools.problem.evaluation import Evaluation

AGREEMENT = 1e-3  # relative, of the first example by both routes; rounding leaves 1e-6; chosen


def example_losses(evaluation: Evaluation, batch: Batch) -> tuple[Tensor, Tensor]:
    """The mean loss and the number of terms of each example that has any, (B,) both.

    To be called within the evaluation. Raises ProblemError under batch statistics, where the loss
    of one example does not exist.
    """
    problem = evaluation.problem
    if is_whole(problem):
        raise ProblemError(
            "Under batch statistics no example has a loss of its own.",
            where=problem.source or None,
            remedy='mode="eval", or batch normalisation with running statistics',
        )
    terms = [problem.terms(take(batch, slice(i, i + 1))) for i in range(rows(batch))]
    counted = torch.tensor([i for i, count in enumerate(terms) if count > 0], dtype=torch.int64)
    weights = torch.tensor([count for count in terms if count > 0], dtype=evaluation.dtype)
    if len(counted) < len(terms):
        batch = take(batch, counted)
    if not len(counted):
        losses = torch.zeros(0, dtype=evaluation.dtype, device=evaluation.device)
    else:
        together = _together(evaluation, batch)
        losses = _one_by_one(evaluation, batch) if together is None else together
    return losses, weights.to(losses.device)


def _together(evaluation: Evaluation, batch: Batch) -> Tensor | None:
    """By vmap; None where it fails, or disagrees with the first example evaluated plainly."""
    leaves, structure = pytree.tree_flatten(batch)
    count = rows(batch)
    axes = tuple(0 if is_along(leaf, count) else None for leaf in leaves)

    def one(*parts: object) -> Tensor:
        single = [
            part[None] if axis == 0 and isinstance(part, Tensor) else part
            for part, axis in zip(parts, axes, strict=True)
        ]
        return evaluation.loss(pytree.tree_unflatten(single, structure))

    try:
        losses: Tensor = torch.func.vmap(one, in_dims=axes)(*leaves)
    except Exception:  # of any kind: the plain route shows whether the model itself is at fault
        return None
    with torch.no_grad():
        first = evaluation.loss(take(batch, slice(0, 1)))
    return losses if torch.isclose(losses[0], first, rtol=AGREEMENT) else None


def _one_by_one(evaluation: Evaluation, batch: Batch) -> Tensor:
    return torch.stack([evaluation.loss(take(batch, slice(i, i + 1))) for i in range(rows(batch))])
