"""Gauss–Newton: the curvature that the loss has in the outputs, seen from the parameters.

    G = Jᵀ (∂²L/∂z²) J,   J = ∂z/∂θ,  z the outputs        (Schraudolph 2002)

The loss is evaluated once more on outputs cut from their graph: an output on the way to another
(hidden states beside logits) would count twice else. doi:10.1162/08997660260028683.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from dyntools.errors import ProblemError
from dyntools.problem.graphs import JacobianGraph, Tensors


def gauss_newton_graph(
    outputs: Any, loss_of: Callable[[Any], Tensor], leaves: Tensors
) -> JacobianGraph:
    """Jᵀ (∂²L/∂z²) J with z the outputs that the loss is a function of.

    Raises ProblemError when the loss is linear in them: a model that returns its own loss.
    """
    z, variables, first = output_gradients(outputs, loss_of)
    curved = [g for g in first if g.requires_grad]
    if not curved:
        raise ProblemError(
            "The loss is linear in the outputs of the model, so its Gauss–Newton matrix is zero.",
            found=f"outputs of shape {', '.join(str(tuple(t.shape)) for t in z) or 'unknown'}",
            remedy="let the model return logits or predictions, and `loss` compute the loss",
        )

    def middle(vectors: Tensors) -> Tensors:
        parts = [v for g, v in zip(first, vectors, strict=True) if g.requires_grad]
        return torch.autograd.grad(
            curved, variables, parts, retain_graph=True, materialize_grads=True
        )

    return JacobianGraph.of(z, leaves, middle)


def output_gradients(
    outputs: Any, loss_of: Callable[[Any], Tensor]
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """The outputs z that the loss depends on; what it is differentiated by; ∂L/∂z with a graph.

    A model of Hugging Face's kind computes its loss from its `logits`, which then are z.
    """
    logits = outputs.get("logits") if isinstance(outputs, Mapping) else None
    logits = getattr(outputs, "logits", logits)
    if isinstance(logits, Tensor) and logits.requires_grad:
        loss, z = loss_of(outputs), [logits]
        variables = z
    else:
        found, structure = pytree.tree_flatten(outputs)
        live = [isinstance(leaf, Tensor) and leaf.requires_grad for leaf in found]
        cut = [
            leaf.detach().requires_grad_() if is_live else leaf
            for leaf, is_live in zip(found, live, strict=True)
        ]
        loss = loss_of(pytree.tree_unflatten(cut, structure))
        z = [leaf for leaf, is_live in zip(found, live, strict=True) if is_live]
        variables = [leaf for leaf, is_live in zip(cut, live, strict=True) if is_live]
    if not z or not loss.requires_grad:
        raise ProblemError(
            "The loss is no function of the tensors that the model returns.",
            found=type(outputs).__name__,
            remedy="outputs as tensors in tuples, lists or dictionaries, or with `.logits`",
        )
    first = torch.autograd.grad(loss, variables, create_graph=True, allow_unused=True)
    used = [i for i, gradient in enumerate(first) if gradient is not None]
    return [z[i] for i in used], [variables[i] for i in used], [first[i] for i in used]
