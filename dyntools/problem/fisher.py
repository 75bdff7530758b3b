"""Fisher matrices: of a model's own distribution, by sampled labels, and of the data's labels.

    true       F = E_y [∂ log p(y|x)/∂θ ⊗ …] ≈ Jᵀ S Sᵀ J,  S the output gradients of sampled labels
    empirical  F = Σ_i w_i g_i g_iᵀ / Σ_i w_i,  g_i the gradient of example i

The expectation of the first is the Gauss–Newton matrix of cross-entropy; the second is another
matrix (Kunstner 2019, arXiv:1905.12558).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dyntools.errors import ProblemError
from dyntools.problem.gauss_newton import output_gradients
from dyntools.problem.graphs import JacobianGraph, Tensors

SOFTMAX = 1e-3  # how far terms · ∂L/∂z may be from p - q, q a distribution; rounding: 1e-5; chosen


def fisher_graph(
    outputs: Any,
    loss_of: Callable[[Any], Tensor],
    leaves: Tensors,
    *,
    terms: float,
    examples: Sequence[int],
    seed: int,
) -> JacobianGraph:
    """The true Fisher of a categorical model by one sampled label a term.

    terms: that the loss is the mean over. examples: their numbers in the problem; each has labels
    of its own, the same in whatever piece it is evaluated.
    Raises ProblemError when the loss is not the cross-entropy of a softmax.
    """
    z, _, first = output_gradients(outputs, loss_of)
    scores = []
    for logits, gradient in zip(z, first, strict=True):
        p, g = logits.detach().softmax(-1), gradient.detach()
        counted = (g != 0).any(-1, keepdim=True)
        labels = (p - terms * g) * counted  # those of the data, one-hot or soft
        if labels.min() < -SOFTMAX or ((labels.sum(-1, keepdim=True) - 1) * counted).abs().max() > (
            SOFTMAX
        ):
            raise ProblemError(
                "Labels can be sampled from a softmax with cross-entropy only.",
                remedy="gauss_newton, which for the losses of exponential families is the same",
            )
        drawn = _sampled(p, examples, seed)
        scores.append((p - drawn) * counted / math.sqrt(terms))

    def middle(vectors: Tensors) -> Tensors:
        return [s * (s * v).sum(-1, keepdim=True) for s, v in zip(scores, vectors, strict=True)]

    return JacobianGraph.of(z, leaves, middle)


def empirical_fisher_graph(losses: Tensor, weights: Tensor, leaves: Tensors) -> JacobianGraph:
    """Σ_i w_i g_i g_iᵀ / Σ_i w_i from the mean loss and the weight of every example, (B,)."""
    share = weights / weights.sum()
    return JacobianGraph.of((losses,), leaves, lambda vectors: [share * vectors[0]])


def _sampled(p: Tensor, examples: Sequence[int], seed: int) -> Tensor:
    """One-hot labels from the probabilities p (…, C), by numbers that depend on the example."""
    places = math.prod(p.shape[:-1]) // len(examples)
    uniform = torch.cat([_uniform(places, seed, example) for example in examples])
    below = p.double().cumsum(-1).reshape(len(uniform), -1)
    label = torch.searchsorted(below, uniform.to(p.device)[:, None] * below[:, -1:])
    chosen = torch.zeros_like(p).reshape(len(uniform), -1)
    return chosen.scatter_(1, label.clamp(max=p.shape[-1] - 1), 1.0).view_as(p)


def _uniform(count: int, seed: int, example: int) -> Tensor:
    # numpy's, as torch's generator on the CPU takes 32 bits of a seed only.
    return torch.from_numpy(np.random.default_rng((seed, example)).random(count))
