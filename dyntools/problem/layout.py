"""Layout: how the trainable tensors of a model lie in one flat vector.

    θ = (tensor 1, tensor 2, …) in model order, each flattened;  n = number of parameters

Gradients, eigenvectors and directions are flat vectors (n,); `split` gives views in the shapes of
the tensors, without copying.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Names and shapes in model order."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Layout:
        return cls(tuple(tensors), tuple(tuple(t.shape) for t in tensors.values()))

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        return tuple(math.prod(shape) for shape in self.shapes)

    @cached_property
    def size(self) -> int:
        """n, the number of parameters."""
        return sum(self.sizes)

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each tensor lies in the flat vector."""
        ends = list(accumulate(self.sizes, initial=0))
        return {name: slice(ends[i], ends[i + 1]) for i, name in enumerate(self.names)}

    def split(self, vector: Tensor) -> tuple[Tensor, ...]:
        """Views of a flat vector (n,) in the shapes of the tensors."""
        parts = torch.split(vector, list(self.sizes))
        return tuple(part.view(shape) for part, shape in zip(parts, self.shapes, strict=True))

    def flatten(self, tensors: Sequence[Tensor]) -> Tensor:
        """The flat vector (n,) of tensors given in this order."""
        return torch.cat([tensor.reshape(-1) for tensor in tensors])

    def select(self, names: Iterable[str]) -> Layout:
        """The layout of some of the tensors, in model order."""
        wanted = set(names)
        kept = [(n, s) for n, s in zip(self.names, self.shapes, strict=True) if n in wanted]
        return Layout(tuple(n for n, _ in kept), tuple(s for _, s in kept))

    def take(self, vector: Tensor, part: Layout) -> Tensor:
        """The entries of `vector` (n,) that belong to `part`, flat."""
        return torch.cat([vector[self.slices[name]] for name in part.names])
