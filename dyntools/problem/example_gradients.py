"""Example gradients: three routes to them, each adding them up as they come.

By one pass of `torch.func.vmap` in which the uses of each tensor are noted (`tracing`, `uses`); one
example after another, where vmap cannot trace the model; or one for each batch, where batch
statistics leave no example a gradient of its own. The first is taken only where it gives two
examples the gradient that autograd gives them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from dyntools.problem.batches import Batch, rows, take
from dyntools.problem.graphs import gradients
from dyntools.problem.memory import ran_out
from dyntools.problem.probe import counted
from dyntools.problem.risk import Risk
from dyntools.problem.tracing import traced
from dyntools.problem.uses import Dense, Totals, Weights, add

AGREEMENT = 1e-3  # relative, of a gradient by both routes; rounding leaves 1e-6; chosen


def _together(risk: Risk, batch: Batch, weights: Weights, into: Sequence[Totals]) -> Tensor:
    """By one traced pass: |g_i|² (B, L)."""

    def work() -> Tensor:
        _, uses = traced(risk.evaluation, risk.leaves, batch)
        return torch.stack([add(u, weights, t) for u, t in zip(uses, into, strict=True)], 1)

    return risk.evaluation.within(risk.leaves, work)


def _one_by_one(risk: Risk, batch: Batch, weights: Weights, into: Sequence[Totals]) -> Tensor:
    norms = []
    for group, run in weights.runs:
        for i in range(run.start, run.stop):
            w, c = weights.w[i : i + 1], weights.c[i : i + 1]
            one = Weights(w, c, ((group, slice(0, 1)),))
            norms.append(_whole(risk, take(batch, slice(i, i + 1)), one, into))
    return torch.cat(norms)


def _whole(risk: Risk, batch: Batch, weights: Weights, into: Sequence[Totals]) -> Tensor:
    """The gradient of the mean loss of a batch, as one unit."""
    evaluation = risk.evaluation
    found = evaluation.within(risk.leaves, lambda: gradients(evaluation.loss(batch), risk.leaves))
    return torch.stack(
        [add([Dense(g[None])], weights, t) for g, t in zip(found, into, strict=True)], 1
    )


ROUTES: dict[str, Callable[[Risk, Batch, Weights, Sequence[Totals]], Tensor]] = {
    "gradients of examples by vmap": _together,
    "gradients of examples one by one, as vmap cannot trace the model": _one_by_one,
    "gradients of whole batches, as examples of one influence each other": _whole,
}
TOGETHER, LOOP, BATCHES = ROUTES


def route_of(risk: Risk, whole: bool) -> str:
    """The name of the route, one of ROUTES. whole: batches must not be cut."""
    if whole:
        return BATCHES
    key = ("traces", risk.probe.device, risk.probe.dtype)
    return TOGETHER if risk.problem.once(key, lambda: _traces(risk)) else LOOP


def _traces(risk: Risk) -> bool:
    """Whether the model can be traced, and gives two examples their gradient as plainly."""
    batch, leaves, evaluation = counted(risk.probe, 2), risk.leaves, risk.evaluation
    try:
        _, uses = evaluation.within(leaves, lambda: traced(evaluation, leaves, batch))
    except Exception as error:  # of any kind: the plain route shows whether the model is at fault
        if ran_out(error):
            raise  # which says nothing of the model, and the slow route would be taken for good
        return False
    w = torch.tensor(
        [risk.problem.terms(take(batch, slice(i, i + 1))) for i in range(rows(batch))]
    ).to(risk.theta)
    weights = Weights.of(w / w.sum(), w, np.zeros(len(w), dtype=np.int64))
    found = evaluation.within(leaves, lambda: gradients(evaluation.loss(batch), leaves))
    off = size = 0.0
    for leaf, use, plain in zip(leaves, uses, found, strict=True):
        total = Totals([torch.zeros_like(leaf)], torch.zeros_like(leaf))
        add(use, weights, total)
        off += float((total.groups[0] - plain).double().square().sum())
        size += float(plain.double().square().sum())
    # A gradient that is not finite decides nothing: other snapshots of the run may have one.
    return off <= AGREEMENT**2 * size or not math.isfinite(size)


def trial(risk: Risk, batch: Batch) -> None:
    """What TOGETHER takes for a chunk of examples beside the sums of all."""
    ones = torch.ones(rows(batch)).to(risk.theta)
    weights = Weights.of(ones, ones, np.zeros(len(ones), dtype=np.int64))
    into = [Totals([torch.zeros_like(p)], torch.zeros_like(p)) for p in risk.leaves]
    _together(risk, batch, weights, into)
