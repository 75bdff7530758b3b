"""Graphs: differentiated losses of a piece of data, kept so that each product is one more backward.

    Hessian    g = ∂L/∂θ with its graph;  H v = ∂(g·v)/∂θ                        (Pearlmutter 1994)
    Jᵀ M J     J v = ∂(∂(z·u)/∂θ · v)/∂u by a dummy u, then Jᵀ by one backward   (Schraudolph 2002)

All of it is reverse mode: forward mode through the native backward of LayerNorm and InstanceNorm
gives a wrong, asymmetric Hessian in torch 2.13 (up to 5e-2), without an error. Sources:
doi:10.1162/neco.1994.6.1.147, doi:10.1162/08997660260028683.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

Kind = Literal["hessian", "gauss_newton", "fisher", "empirical_fisher"]
Tensors = Sequence[Tensor]


class Graph(Protocol):
    """A symmetric matrix over `leaves`, as products."""

    @property
    def leaves(self) -> Tensors: ...

    def product(self, vectors: Tensors, among: Sequence[int]) -> Tensors:
        """The product with a vector that lives on the leaves `among`, restricted to them."""
        ...


@dataclass(frozen=True, eq=False)
class HessianGraph:
    """gradients: of the mean loss, with their graph, in the order of leaves."""

    leaves: Tensors
    gradients: Tensors

    @classmethod
    def of(cls, loss: Tensor, leaves: Tensors) -> HessianGraph:
        return cls(leaves, gradients(loss, leaves, create_graph=True))

    def product(self, vectors: Tensors, among: Sequence[int]) -> Tensors:
        """H v among the leaves of a block: the block of H, for the price of that block."""
        leaves = [self.leaves[i] for i in among]
        return _derivative([self.gradients[i] for i in among], vectors, leaves)


@dataclass(frozen=True, eq=False)
class JacobianGraph:
    """Jᵀ M J, with J of some outputs with respect to the leaves and M symmetric between them.

    outputs: z, differentiable; pulled: ∂(z·u)/∂θ, linear in the dummies u.
    middle: u → M u, on tensors shaped as the outputs.
    """

    leaves: Tensors
    outputs: Tensors
    dummies: Tensors
    pulled: Tensors
    middle: Callable[[Tensors], Tensors]

    @classmethod
    def of(
        cls, outputs: Tensors, leaves: Tensors, middle: Callable[[Tensors], Tensors]
    ) -> JacobianGraph:
        dummies = tuple(torch.zeros_like(z, requires_grad=True) for z in outputs)
        pulled = torch.autograd.grad(
            outputs, leaves, dummies, create_graph=True, materialize_grads=True
        )
        return cls(leaves, outputs, dummies, pulled, middle)

    def product(self, vectors: Tensors, among: Sequence[int]) -> Tensors:
        leaves = [self.leaves[i] for i in among]
        pushed = _derivative([self.pulled[i] for i in among], vectors, self.dummies)
        return torch.autograd.grad(
            self.outputs, leaves, self.middle(pushed), retain_graph=True, materialize_grads=True
        )


def gradients(loss: Tensor, leaves: Tensors, *, create_graph: bool = False) -> Tensors:
    """∂L/∂θ; zero for a tensor that the loss does not use."""
    return torch.autograd.grad(loss, leaves, create_graph=create_graph, materialize_grads=True)


def _derivative(functions: Tensors, vectors: Tensors, variables: Tensors) -> Tensors:
    """∂(f·v)/∂x; a function without a graph, as where a loss is linear, is constant."""
    pairs = [(f, v) for f, v in zip(functions, vectors, strict=True) if f.requires_grad]
    if not pairs:
        return [torch.zeros_like(variable) for variable in variables]
    found, parts = zip(*pairs, strict=True)
    return torch.autograd.grad(found, variables, parts, retain_graph=True, materialize_grads=True)
