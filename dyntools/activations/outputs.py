"""Outputs: the logits z of a softmax with cross-entropy, and the labels that its loss tells.

    log Z = logsumexp z,    margin = z_y - max of the others,    |z - mean z| the norm

The loss is differentiated by the logits alone: terms · ∂L/∂z = p - q, which is negative at the
label and nowhere else. So labels need no convention of where a batch keeps them, and places that do
not count show by a zero. It is taken at z = 0, where p = 1/C and no term is zero by rounding, as
those that the model is sure of are at its own logits; there it is only compared.
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
from dyntools.activations.scale import largest
from dyntools.activations.selection import step_of

CHECKED = 1 << 9  # places at which the loss is checked to be a cross-entropy; chosen
SOFTMAX = 1e-3  # how far p - terms · ∂L/∂z may be from a distribution; chosen, as in problem.fisher
NO_CROSS_ENTROPY = "the loss is not a mean cross-entropy of a softmax over the last axis"
ROUNDINGS = 4  # of the type of the logits, if that is more: 1/W, p, their product; chosen


OF_LOGITS = "the first axis of the logits does not count the examples"


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
            self.refused = OF_LOGITS
            return
        places = counted.reshape(len(numbers), -1).cpu()
        if not places.any():
            return
        self.classes = z.shape[-1]
        z = z.float() if z.dtype.itemsize < 4 else z
        group = self.examples.groups(numbers)[:, None].expand_as(places)[places]
        log_z = z.logsumexp(-1).double()
        margin = margins(z, terms.labels)
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


def margins(z: Tensor, labels: Tensor) -> Tensor:
    """z_y - max of the others (b, …), of logits (b, …, C) and labels (b, …)."""
    y = labels[..., None]
    return (z.gather(-1, y) - z.scatter(-1, y, -torch.inf).amax(-1, keepdim=True))[..., 0]


def terms_of(
    outputs: Any, loss_of: Callable[[Any], Tensor], terms: float, *, check: bool
) -> Terms | str:
    """What the loss says of the outputs, or why there are no logits.

    check: whether the loss is a cross-entropy with one label a term; once for a problem is enough.
    """
    leaves = tensors_of(outputs)
    if not leaves:
        return "the model returns no tensor of logits"
    given = _gradient(outputs, loss_of) if check or len(leaves) > 1 else None
    if isinstance(given, str):
        return given
    which = 0 if given is None else given.which
    flat = _gradient(outputs, loss_of, zero=which)
    if isinstance(flat, str):
        return flat
    lowest, labels = flat.gradient.min(-1)  # 1/C - q is negative at the label alone
    counted, wrong = lowest < 0, ""
    if check and terms and given is not None:
        wrong = _is_no_cross_entropy(flat, terms, labels, counted)
        wrong = wrong or _is_no_cross_entropy(given, terms, labels, counted)
    told = int(counted.sum())
    if not wrong and abs(terms - told) > 0.5:
        wrong = f"the gradient of the loss tells {told} terms, and the problem counts {terms:g}"
    return wrong or Terms(leaves[which].detach(), labels, counted)


def tensors_of(outputs: Any) -> list[Tensor]:
    """Those that may be logits: of Hugging Face these alone."""
    return _cut(outputs)[1]


@dataclass(frozen=True, eq=False)
class _Gradient:
    """Of the loss by logits (b, …, C), and which of the tensors of the outputs they are."""

    logits: Tensor
    gradient: Tensor
    which: int


def _gradient(
    outputs: Any, loss_of: Callable[[Any], Tensor], zero: int | None = None
) -> _Gradient | str:
    """By the one tensor that the loss depends on. zero: which tensor is taken as zero."""
    cut, leaves = _cut(outputs, zero)
    with torch.enable_grad():
        loss = loss_of(cut)
        if not loss.requires_grad:
            return "the loss is no function of what the model returns"
        gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
    used = [
        _Gradient(z.detach(), g, i)
        for i, (z, g) in enumerate(zip(leaves, gradients, strict=True))
        if g is not None
    ]
    if len(used) != 1 or used[0].logits.ndim < 2 or used[0].logits.shape[-1] < 2:
        return "the loss is not the cross-entropy of one tensor of logits"
    return used[0]


def _is_no_cross_entropy(found: _Gradient, terms: float, labels: Tensor, counted: Tensor) -> str:
    """Checked at an even selection of places: whether p - terms · ∂L/∂z is one at the label."""
    z, g = found.logits, found.gradient
    if not torch.stack(torch.aminmax(z)).isfinite().all():
        return "the logits hold NaN or inf"
    form = torch.finfo(z.dtype)
    least = form.smallest_normal * form.eps  # what separates gradients near zero
    close = max(SOFTMAX, ROUNDINGS * max(form.eps, terms * least))
    step = step_of(labels.numel(), CHECKED)
    z, g = (x.reshape(-1, x.shape[-1])[::step].double() for x in (z, g))
    there = counted.reshape(-1)[::step]
    labels = labels.reshape(-1)[::step][there]
    if bool((g[~there] != 0).any()):
        return NO_CROSS_ENTROPY
    q = z[there].softmax(-1) - terms * g[there]
    here = torch.zeros_like(q).scatter_(-1, labels[:, None], 1.0)
    if not q.numel() or (here - q).abs().max() <= close:
        return ""
    if q.min() < -close or (q.sum(-1) - 1).abs().max() > close:
        return NO_CROSS_ENTROPY
    return "its labels are no single classes, as under label smoothing"


def _cut(outputs: Any, zero: int | None = None) -> tuple[Any, list[Tensor]]:
    """The outputs with their tensors as leaves of a new graph; of Hugging Face the logits alone."""
    leaves: list[Tensor] = []

    def cut(part: Any) -> Any:
        if not isinstance(part, Tensor) or not part.is_floating_point():
            return part
        leaf = torch.zeros_like(part) if len(leaves) == zero else part.detach()
        leaves.append(leaf.requires_grad_())
        return leaf

    logits = outputs.get("logits") if isinstance(outputs, Mapping) else None
    logits = getattr(outputs, "logits", logits)
    if not isinstance(logits, Tensor):
        return pytree.tree_map(cut, outputs), leaves
    changed = copy.copy(outputs)
    if isinstance(outputs, Mapping):
        changed["logits"] = cut(logits)  # a ModelOutput's attribute follows
    else:
        changed.logits = cut(logits)
    return changed, leaves
