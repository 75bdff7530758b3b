"""Outputs: the logits z of a softmax with cross-entropy, and the labels that its loss tells.

    log Z = logsumexp z,    margin = z_y - max of the others,    |z - mean z| the norm

The loss is differentiated by the logits alone: terms · ∂L/∂z = p - q, which is negative at the
label and nowhere else. So labels need no convention of where a batch keeps them, and places that do
not count show by a zero.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from dyntools.activations.patterns import GROUPS, Examples
from dyntools.activations.scale import largest, step_of

CHECKED = 1 << 9  # places at which the loss is checked to be a cross-entropy; chosen
SOFTMAX = 1e-3  # how far p - terms · ∂L/∂z may be from a distribution; chosen, as in problem.fisher


@dataclass(eq=False)
class Logits:
    """sums (GROUPS, 5): of log Z, the norm, the margin, whether that is positive, and (log Z)².

    terms: over how many, of each group.

    largest: |log Z|. refused: why there are none.
    """

    examples: Examples
    sums: Tensor = field(default_factory=lambda: torch.zeros(GROUPS, 5, dtype=torch.float64))
    terms: Tensor = field(default_factory=lambda: torch.zeros(GROUPS, dtype=torch.float64))
    largest: float = 0.0
    classes: int = 0
    refused: str = ""

    def add(self, terms: Terms, numbers: range) -> None:
        """The terms of a piece with these examples."""
        z, counted = terms.logits, terms.counted
        if len(z) % len(numbers):
            self.refused = "the first axis of the logits does not count the examples"
            return
        self.classes = z.shape[-1]
        places = counted.reshape(len(numbers), -1).cpu()
        if not places.any():
            return
        group = self.examples.groups(numbers)[:, None].expand_as(places)[places]
        y = terms.labels[..., None]
        log_z = z.logsumexp(-1).double()
        margin = (z.gather(-1, y) - z.scatter(-1, y, -torch.inf).amax(-1, keepdim=True))[..., 0]
        norm = torch.linalg.vector_norm(z - z.mean(-1, keepdim=True), dim=-1)
        columns = [log_z, norm.double(), margin.double(), (margin > 0).double(), log_z.square()]
        found = torch.stack(columns, -1)[counted]
        self.sums.index_add_(0, group, found.cpu())
        self.terms += torch.bincount(group, minlength=GROUPS)
        top = float(found[:, 0].abs().max())
        self.largest = largest(self.largest, top)


@dataclass(frozen=True, eq=False)
class Terms:
    """logits (b, …, C), the label (b, …) of each place, and whether it counts (b, …)."""

    logits: Tensor
    labels: Tensor
    counted: Tensor


def terms_of(
    outputs: Any, loss_of: Callable[[Any], Tensor], terms: float, *, check: bool
) -> Terms | str:
    """What the loss says of the outputs, or why there are no logits.

    check: whether the loss is a cross-entropy with one label a term; once for a problem is enough.
    """
    found = _cut(outputs)
    if found is None:
        return "the model returns no tensor of logits"
    cut, leaves = found
    with torch.enable_grad():
        loss = loss_of(cut)
        if not loss.requires_grad:
            return "the loss is no function of what the model returns"
        gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
    used = [(z.detach(), g) for z, g in zip(leaves, gradients, strict=True) if g is not None]
    if len(used) != 1 or used[0][0].ndim < 2 or used[0][0].shape[-1] < 2:
        return "the loss is not the cross-entropy of one tensor of logits"
    z, g = used[0]
    lowest, labels = g.min(-1)  # p - q is negative at the label alone
    counted = lowest < 0
    missing = round(terms) - int(counted.sum())
    if missing > 0:  # a term whose probability has rounded to one has no gradient
        sure = ~counted & (z.softmax(-1).amax(-1) > 1 - SOFTMAX)
        if int(sure.sum()) == missing:
            labels, counted = torch.where(sure, z.argmax(-1), labels), counted | sure
    if check and (wrong := _is_no_cross_entropy(z, g, terms, labels)):
        return wrong
    return Terms(z, labels, counted)


def _is_no_cross_entropy(z: Tensor, g: Tensor, terms: float, labels: Tensor) -> str:
    """Checked at an even selection of places."""
    if not torch.stack(torch.aminmax(z)).isfinite().all():
        return "the logits hold NaN or inf"
    step = step_of(labels.numel(), CHECKED)
    z, g = (x.reshape(-1, x.shape[-1])[::step] for x in (z, g))
    labels = labels.reshape(-1)[::step]
    q = z.softmax(-1) - terms * g
    q = q * (g != 0).any(-1, keepdim=True)  # zero at places that do not count
    if q.min() < -SOFTMAX or ((q.sum(-1) - 1).abs() * (q != 0).any(-1)).max() > SOFTMAX:
        return "the loss is not a mean cross-entropy of a softmax over the last axis"
    here = torch.zeros_like(q).scatter_(-1, labels[..., None], 1.0)
    if ((here - q).abs() * (q != 0).any(-1, keepdim=True)).max() > SOFTMAX:
        return "its labels are no single classes, as under label smoothing"
    return ""


def _cut(outputs: Any) -> tuple[Any, list[Tensor]] | None:
    """The outputs with their tensors as leaves of a new graph; of Hugging Face the logits alone."""
    logits = outputs.get("logits") if isinstance(outputs, Mapping) else None
    logits = getattr(outputs, "logits", logits)
    if isinstance(logits, Tensor):
        leaf = logits.detach().requires_grad_()
        changed = copy.copy(outputs)
        if isinstance(outputs, Mapping):
            changed["logits"] = leaf  # a ModelOutput's attribute follows
        else:
            changed.logits = leaf
        return changed, [leaf]
    leaves: list[Tensor] = []

    def cut(part: Any) -> Any:
        if isinstance(part, Tensor) and part.is_floating_point():
            leaves.append(part.detach().requires_grad_())
            return leaves[-1]
        return part

    changed = pytree.tree_map(cut, outputs)
    return (changed, leaves) if leaves else None
