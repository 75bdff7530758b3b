"""Supervised problems: classification and regression on the batches of a loader.

    classification   L = mean of -Σ_c q_c log p_c,  p the softmax (one output: the sigmoid) of z
    regression       L = mean of (z - y)²

over all targets that count. q is the label, mixed with 1/C of everything where labels are smoothed
(Szegedy 2016, arXiv:1512.00567). Shapes are checked rather than broadcast: outputs (n, 1) beside
targets (n,) would be n² differences in torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from dyntools.errors import ProblemError
from dyntools.problem.batches import Batch
from dyntools.problem.fixed_batches import (
    Targets,
    checked_targets,
    described,
    fixed_batches,
    inputs_of,
    targets_of,
)
from dyntools.problem.problem import Problem, called

OUTPUTS = ("logits", "out")  # in dictionaries: of Transformers, and of torchvision's segmentation
SUM = 1e-3  # how far class probabilities may be from a sum of 1: those of half precision; chosen

Forward = Callable[[nn.Module, Batch], Any]


@dataclass(frozen=True)
class CrossEntropy:
    """The loss of a classifier, over the targets that count.

    largest: the largest label there is, so that a network with too few outputs is told.
    """

    targets: Targets
    smoothing: float
    ignored: int
    largest: int

    def __call__(self, z: Tensor, batch: Batch) -> Tensor:
        y = self.targets(batch)
        if z.ndim == 1 or z.shape[1] == 1:
            return self._binary(z, y)
        whole = not y.is_floating_point() and y.dtype != torch.bool
        fits = z.shape[:1] + z.shape[2:] == y.shape if whole else z.shape == y.shape
        if not fits or self.largest >= z.shape[1]:
            raise self._unfit(z, y)
        return cross_entropy(
            z,
            y.long() if whole else y.to(z.dtype),
            label_smoothing=self.smoothing,
            ignore_index=self.ignored,
        )

    def weight(self, batch: Batch) -> float:
        """Over how many targets the mean is."""
        y = self.targets(batch)
        if y.is_floating_point():
            return float(y.numel() / (y.shape[1] if y.ndim > 1 else 1))
        return float((y != self.ignored).sum())

    def _binary(self, z: Tensor, y: Tensor) -> Tensor:
        """One output: the logit of label 1."""
        if z.shape[0] != y.numel() or y.ndim > 2 or self.largest > 1:
            raise self._unfit(z, y)
        z, y = z.reshape(-1), y.reshape(-1)
        counts = (y != self.ignored).to(z.dtype)
        q = y.to(z.dtype) * counts * (1 - self.smoothing) + self.smoothing / 2
        each = binary_cross_entropy_with_logits(z, q, reduction="none")
        return (each * counts).sum() / counts.sum()

    def _unfit(self, z: Tensor, y: Tensor) -> ProblemError:
        return ProblemError(
            "The outputs of the network are no logits of these labels.",
            found=f"outputs {described(z)}, labels {described(y)}, largest label {self.largest}",
            remedy="outputs (n, C) or (n, C, …) with labels (n) or (n, …) from 0 to C - 1, or with"
            " class probabilities of the shape of the outputs; forward=… and targets=… make them",
        )


def classification(
    model: nn.Module,
    loader: Iterable[Batch],
    *,
    batches: int | None,
    label_smoothing: float,
    ignore_index: int,
    targets: Targets | None,
    forward: Forward | None,
    validation: Iterable[Batch] | None = None,
) -> Problem:
    """See `Problem.classification`."""
    if not 0 <= label_smoothing <= 1:
        raise ProblemError("Labels are smoothed by 0 to 1.", found=str(label_smoothing))
    kept, targets = fixed_batches(loader, batches), targets or targets_of
    held_out = None if validation is None else fixed_batches(validation, batches)
    largest = max(_largest_label(of, targets, ignore_index) for of in (kept, held_out) if of)
    loss = CrossEntropy(targets, label_smoothing, ignore_index, largest)
    return Problem(
        model,
        kept,
        loss,
        forward=outputs_by(forward),
        weight=loss.weight,
        validation=held_out,
    )


def regression(
    model: nn.Module,
    loader: Iterable[Batch],
    *,
    batches: int | None,
    loss: Callable[[Tensor, Tensor], Tensor] | None,
    targets: Targets | None,
    forward: Forward | None,
    validation: Iterable[Batch] | None = None,
) -> Problem:
    """See `Problem.regression`."""
    kept, told, distance = fixed_batches(loader, batches), targets or targets_of, loss or mse_loss
    held_out = None if validation is None else fixed_batches(validation, batches)
    for y in checked_targets((*kept, *(held_out or ())), told):
        if not torch.isfinite(y).all():
            raise ProblemError(
                "Some targets are not finite.",
                found=f"{int((~torch.isfinite(y)).sum())} of {y.numel()} in a batch",
                remedy="leave these examples out; or write the loss: Problem(model, batches, loss)",
            )

    def loss_of(z: Tensor, batch: Batch) -> Tensor:
        y = told(batch)
        if z.shape != y.shape and not {z.shape, y.shape} == {y.shape[:1], (*y.shape[:1], 1)}:
            raise ProblemError(
                "Outputs and targets have different shapes.",
                found=f"outputs {described(z)}, targets {described(y)}",
                remedy="forward=… or targets=… that bring them to the same",
            )
        return distance(z, y.reshape(z.shape).to(z.dtype))

    return Problem(
        model,
        kept,
        loss_of,
        forward=outputs_by(forward),
        weight=lambda batch: len(told(batch)),
        validation=held_out,
    )


def outputs_by(forward: Forward | None) -> Forward:
    """The model's outputs as one tensor, by `forward` or from the inputs of a batch."""

    def outputs(model: nn.Module, batch: Batch) -> Tensor:
        made = called(model, inputs_of(batch)) if forward is None else forward(model, batch)
        return tensor_of(made)

    return outputs


def tensor_of(outputs: Any) -> Tensor:
    """The logits or predictions among what a model returns: a tensor, the first of a tuple,
    `logits` or `out` of a dictionary, `.logits`. Raises ProblemError."""
    found = getattr(outputs, "logits", outputs)
    if isinstance(found, dict):
        found = next((found[name] for name in OUTPUTS if name in found), found)
    elif isinstance(found, tuple | list) and found:
        found = found[0]
    if not isinstance(found, Tensor) or found.ndim == 0:
        raise ProblemError(
            "Which of the model's outputs are its predictions cannot be told.",
            found=described(outputs),
            remedy="forward=lambda model, batch: …, which returns them as one tensor",
        )
    return found


def _largest_label(batches: list[Batch], targets: Targets, ignored: int) -> int:
    """0 where labels are probabilities. Raises ProblemError for what are no labels."""
    largest = counted = 0
    for y in checked_targets(batches, targets):
        if y.is_floating_point():
            _are_probabilities(y)
            counted += y.numel()
            continue
        kept = y[y != ignored]
        counted += kept.numel()
        if kept.numel() and int(kept.min()) < 0:
            raise ProblemError(
                "Labels are counted from 0.",
                found=f"a label {int(kept.min())}",
                remedy=f"ignore_index={int(kept.min())} if it marks what does not count",
            )
        largest = max(largest, int(kept.max()) if kept.numel() else 0)
    if not counted:
        raise ProblemError("Every label is the one to be ignored.", found=str(ignored))
    return largest


def _are_probabilities(y: Tensor) -> None:
    single = y.ndim == 1 or y.shape[1] == 1
    sums = y if single else y.sum(1)
    low, high = float(sums.min()), float(sums.max())
    if not (float(y.min()) >= 0 and high <= 1 + SUM and (single or low >= 1 - SUM)):
        raise ProblemError(
            "Labels that are no whole numbers must be class probabilities.",
            found=f"{described(y)}, sums over classes from {low:.4g} to {high:.4g}",
            remedy="Problem.regression for numbers; for several labels an example write the loss"
            " with binary_cross_entropy_with_logits; for indices targets=lambda batch:"
            " batch[1].long()",
        )
