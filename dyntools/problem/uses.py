"""Uses: how a tensor enters the losses of examples, and what its gradients add up to.

    linear layer, one position   g_i = d_i x_iᵀ:  Σ c g² = (c d²)ᵀ (x²),  |g_i|² = |d_i|² |x_i|²
    several positions            g_i = Σ_t d_it x_itᵀ, formed for a few examples at a time
    embedding                    rows of the tokens of an example, equal tokens added first

x are the inputs of a layer and d the gradients of the example's loss by its outputs. The first line
needs no gradient of an example at all: Goodfellow 2015, Efficient per-example gradient
computations, arXiv:1510.01799; for second moments Dangel, Kunstner & Hennig 2020, BackPACK,
arXiv:1912.10985.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dyntools.linalg.vectors import dot

# Gradients of examples that are formed at once: what the cache holds between three passes over
# them; chosen, see docs/benchmarks/per_example.md.
BLOCK = 1 << 21  # bytes


class Use(Protocol):
    """One place where a tensor enters the losses of B examples."""

    def dense(self, examples: slice) -> Tensor:
        """The gradients of some examples by it, (b, *shape)."""
        ...

    def of(self, examples: slice) -> Use:
        """The same of some examples."""
        ...


@dataclass(frozen=True, eq=False)
class Dense:
    """gradients: (B, *shape), as autograd gave them."""

    gradients: Tensor

    def dense(self, examples: slice) -> Tensor:
        return self.gradients[examples]

    def of(self, examples: slice) -> Dense:
        return Dense(self.gradients[examples])


@dataclass(frozen=True, eq=False)
class Summed:
    """A bias: the sum over positions of d (B, P, *shape)."""

    outputs: Tensor

    def dense(self, examples: slice) -> Tensor:
        return self.outputs[examples].sum(1)

    def of(self, examples: slice) -> Summed:
        return Summed(self.outputs[examples])


@dataclass(frozen=True, eq=False)
class Outer:
    """A matrix: Σ_t d_t x_tᵀ in the given shape; d (B, P, out), x (B, P, in)."""

    outputs: Tensor
    inputs: Tensor
    shape: tuple[int, ...]

    def dense(self, examples: slice) -> Tensor:
        found = self.outputs[examples].transpose(1, 2) @ self.inputs[examples]
        return found.view(-1, *self.shape)

    def of(self, examples: slice) -> Outer:
        return Outer(self.outputs[examples], self.inputs[examples], self.shape)


@dataclass(frozen=True, eq=False)
class Rows:
    """An embedding: d (B, P, width) at the rows `index` (B, P) of a table."""

    outputs: Tensor
    index: Tensor
    shape: tuple[int, ...]

    def dense(self, examples: slice) -> Tensor:
        outputs, index = self.outputs[examples], self.index[examples]
        found = outputs.new_zeros(len(index), *self.shape)
        return found.scatter_add_(1, index[..., None].expand_as(outputs), outputs)

    def of(self, examples: slice) -> Rows:
        return Rows(self.outputs[examples], self.index[examples], self.shape)


@dataclass(frozen=True, eq=False)
class Totals:
    """What the gradients g_i of examples by one tensor are added to.

    groups: Σ w_i g_i of each group, of its shape. second: Σ c_i g_i² of its shape.
    cross: Σ c_i g_i of its shape, None where it is not wanted.
    inverse: P⁻¹ of its shape, and energy: Σ c_i g_iᵀP⁻¹g_i of each group (J,), both or neither.
    """

    groups: Sequence[Tensor]
    second: Tensor
    cross: Tensor | None = None
    inverse: Tensor | None = None
    energy: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Weights:
    """Of B examples: w, c (B,), and their groups (B,) as (group, examples) in ascending order."""

    w: Tensor
    c: Tensor
    runs: tuple[tuple[int, slice], ...]
    equal: bool = False  # w and c are the same for all

    @classmethod
    def of(cls, w: Tensor, c: Tensor, groups: NDArray[np.int64]) -> Weights:
        """groups: (B,), equal ones side by side."""
        cuts = [0, *(np.flatnonzero(np.diff(groups)) + 1).tolist(), len(groups)]
        runs = ((int(groups[a]), slice(a, b)) for a, b in pairwise(cuts) if a < b)
        equal = len(w) > 0 and bool((w == w[0]).all()) and bool((c == c[0]).all())
        return cls(w, c, tuple(runs), equal)

    def spread(self, rows_of: Tensor, weights: Tensor) -> tuple[Tensor, float]:
        """Rows (B, …) by their weights, as far as these differ, and a factor for all."""
        if self.equal:
            return rows_of, float(weights[0])
        return rows_of * weights[:, None], 1.0


def add(uses: Sequence[Use], weights: Weights, into: Totals) -> Tensor:
    """Add the gradients of B examples; the squared norm |g_i|² of each (B,)."""
    if into.inverse is None or into.energy is None:
        return _add(uses, weights, into)
    norms = []
    for group, run in weights.runs:
        own = Weights(
            weights.w[run],
            weights.c[run],
            ((group, slice(0, run.stop - run.start)),),
            weights.equal,
        )
        second = torch.zeros_like(into.second)
        some = [use.of(run) for use in uses]
        norms.append(_add(some, own, Totals(into.groups, second, into.cross)))
        into.energy[group] += dot(second.reshape(-1), into.inverse.reshape(-1))
        into.second.add_(second)
    return torch.cat(norms)


def _add(uses: Sequence[Use], weights: Weights, into: Totals) -> Tensor:
    if len(uses) == 1:
        only = uses[0]
        if isinstance(only, Outer) and only.inputs.shape[1] == 1:
            return _add_outer(only, weights, into)
        if isinstance(only, Rows):
            return _add_rows(only, weights, into)
    return _add_dense(uses, weights, into) if uses else torch.zeros_like(weights.w)


def _add_outer(use: Outer, weights: Weights, into: Totals) -> Tensor:
    d, x = use.outputs[:, 0], use.inputs[:, 0]
    squares, powers = d.square(), x.square()
    weighted, factor = weights.spread(d, weights.w)
    for group, run in weights.runs:
        into.groups[group].addmm_(weighted[run].T, x[run], alpha=factor)
    weighted, factor = weights.spread(squares, weights.c)
    into.second.addmm_(weighted.T, powers, alpha=factor)
    if into.cross is not None:
        weighted, factor = weights.spread(d, weights.c)
        into.cross.addmm_(weighted.T, x, alpha=factor)
    return squares.sum(1) * powers.sum(1)


def _add_rows(use: Rows, weights: Weights, into: Totals) -> Tensor:
    """Equal tokens of one example share a row of its gradient, so they are added before squares."""
    (count, positions), height = use.index.shape, len(into.second)
    example = torch.arange(count, device=use.index.device).repeat_interleave(positions)
    keys, place = torch.unique(example * height + use.index.reshape(-1), return_inverse=True)
    width = use.outputs.shape[-1]
    found = use.outputs.new_zeros(len(keys), width)
    found.index_add_(0, place, use.outputs.reshape(-1, width))
    owner, row = keys // height, keys % height
    squares, w, c = found.square(), weights.w[owner, None], weights.c[owner, None]
    norms = torch.zeros_like(weights.w).index_add_(0, owner, squares.sum(1))
    into.second.index_add_(0, row, squares * c)
    if into.cross is not None:
        into.cross.index_add_(0, row, found * c)
    first = found * w
    for group, run in weights.runs:
        here = (owner >= run.start) & (owner < run.stop)
        into.groups[group].index_add_(0, row[here], first[here])
    return norms


def _add_dense(uses: Sequence[Use], weights: Weights, into: Totals) -> Tensor:
    """Any uses together, as of tied embeddings: the gradients of a few examples at a time."""
    norms = torch.zeros_like(weights.w)
    step = max(BLOCK // max(into.second.nbytes, 1), 1)
    for group, run in weights.runs:
        for start in range(run.start, run.stop, step):
            examples = slice(start, min(start + step, run.stop))
            gradients = uses[0].dense(examples)
            for use in uses[1:]:
                gradients = gradients + use.dense(examples)
            flat, c = gradients.reshape(len(gradients), -1), weights.c[examples]
            into.groups[group].view(-1).addmv_(flat.T, weights.w[examples])
            if into.cross is not None:
                into.cross.view(-1).addmv_(flat.T, c)
            squares = flat.square()
            into.second.view(-1).addmv_(squares.T, c)
            norms[examples] = squares.sum(1)
    return norms
