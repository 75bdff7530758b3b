"""Mean loss: that of a problem's examples with its standard error, and their accuracy.

    L = Σ_i w_i ℓ_i / Σ_i w_i,      error² = n/(n-1) Σ_i (w_i (ℓ_i - L))² / (Σ_i w_i)²

over the n examples, ℓ_i the mean over the w_i terms of one: the usual standard error of a mean
where all have as many terms, that of a ratio of means elsewhere (Cochran 1977, Sampling Techniques,
section 2.11). Where examples of a batch influence each other by its statistics, units are batches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dyntools.activations.outputs import margins, terms_of
from dyntools.problem.conditions import is_whole
from dyntools.problem.examples import example_losses

if TYPE_CHECKING:
    from dyntools.problem.batches import Batch
    from dyntools.problem.risk import Risk

FEWEST = 2  # units that have a spread


@dataclass(frozen=True)
class MeanLoss:
    """value, error: L and its standard error, NaN of fewer than two units.

    accuracy: the share of terms whose label has the largest logit, NaN where `refused` says why.
    units: how many examples, or batches, have any term. terms: of all.
    """

    value: float
    error: float
    accuracy: float
    units: int
    terms: float
    refused: str


@dataclass(eq=False)
class _Sums:
    """losses, weights: of the units of each piece. right, counted: of terms."""

    losses: list[Tensor] = field(default_factory=list)
    weights: list[Tensor] = field(default_factory=list)
    right: float = 0.0
    counted: float = 0.0
    checked: bool = False
    refused: str = ""


def mean_loss(risk: Risk) -> MeanLoss:
    """Two forward passes over the examples at the parameters of a risk, shared by the ranks."""
    found, ranks = _Sums(), risk.problem.ranks
    with ranks.agreeing("losses of examples"):
        for _, batch in risk.probe.read(risk.pieces.mine):
            if risk.problem.terms(batch) > 0:
                risk.evaluation.within(risk.leaves, partial(_add, risk, batch, found))
    empty = torch.zeros(0, dtype=torch.float64, device=risk.device)
    losses, weights = torch.cat([empty, *found.losses]), torch.cat([empty, *found.weights])
    mine = [float(len(losses)), float(weights.sum()), float((weights * losses).sum())]
    mine += [found.right, found.counted]
    count, terms, total, right, counted = _summed(risk, mine)
    value = total / terms if terms > 0 else math.nan
    (squares,) = _summed(risk, [float((weights * (losses - value)).square().sum())])
    known = count >= FEWEST and math.isfinite(squares)
    error = math.sqrt(count / (count - 1) * squares) / terms if known else math.nan
    refused = next(filter(None, ranks.gather(found.refused)), "")
    accuracy = right / counted if counted > 0 and not refused else math.nan
    return MeanLoss(value, error, accuracy, round(count), terms, refused)


def _add(risk: Risk, batch: Batch, found: _Sums) -> None:
    """One piece; to be called within the evaluation."""
    evaluation, terms = risk.evaluation, risk.problem.terms(batch)
    with torch.no_grad():
        outputs = evaluation.outputs(batch)
        if is_whole(risk.problem):
            losses = evaluation.loss_of_outputs(outputs, batch)[None]
            weights = torch.tensor([terms], dtype=torch.float64)
        else:
            losses, weights = example_losses(evaluation, batch)
    found.losses.append(losses.double())
    found.weights.append(weights.to(losses.device).double())
    if found.refused:
        return

    def loss_of(changed: object) -> Tensor:
        return evaluation.loss_of_outputs(changed, batch)

    told = terms_of(outputs, loss_of, terms, check=not found.checked)
    if isinstance(told, str):
        found.refused = told
        return
    found.checked = True
    found.right += float((margins(told.logits, told.labels) > 0)[told.counted].sum())
    found.counted += float(told.counted.sum())


def _summed(risk: Risk, numbers: list[float]) -> list[float]:
    tensor = torch.tensor(numbers, dtype=torch.float64, device=risk.device)
    return [float(number) for number in risk.problem.ranks.sum(tensor)]
