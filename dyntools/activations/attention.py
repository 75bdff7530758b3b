"""Attention: how large the scores z of an attention are, and how sharply its queries look.

    largest = max |z_ij|      rms = √(mean z_ij²)                 over allowed places
    p = softmax z,  H_i = -Σ_j p_ij ln p_ij                       of the n_i allowed keys of query i
    entropy = mean H_i,  relative = mean H_i / ln n_i             the latter over n_i > 1

Sums stream over blocks of examples and queries, by heads, in float64. The largest is of all
queries; all else of an even selection of QUERIES of each example, the last among them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import threshold

from dyntools.activations.scale import largest
from dyntools.activations.scores import FORBIDDEN, LOW, Scores


@dataclass(eq=False)
class Attention:
    """Sums over one place. entropy: Σ H, and relative: Σ H / ln n, by heads (h,).

    squares: Σ z², over `entries` places. rows: queries with any key; choices: with two or more, by
    heads. keys: the most that a query may see.
    """

    largest: float = 0.0
    squares: float = 0.0
    entries: int = 0
    rows: int = 0
    keys: int = 0
    entropy: Tensor | None = None
    relative: Tensor | None = None
    choices: Tensor | None = None
    refused: str = ""

    def add(self, scores: Scores, examples: int) -> None:
        """The scores of a piece with so many examples."""
        self.refused = self.refused or scores.refused
        if self.refused:
            return
        try:
            for z, some in scores.blocks(examples):
                self._take(z, some)
        except ValueError as error:
            self.refused = str(error)

    def _take(self, every: Tensor, z: Tensor) -> None:
        """The largest of every query, all else of some: z (p, h, t, S)."""
        if self.entropy is None or self.relative is None or self.choices is None:
            zeros = torch.zeros(3, z.shape[1], dtype=torch.float64)
            self.entropy, self.relative, self.choices = zeros
        if len(self.entropy) != z.shape[1]:
            raise ValueError("its number of heads changes from batch to batch")
        there = threshold(every, FORBIDDEN, 0.0)  # NaN stays
        self.largest = largest(self.largest, max(-float(there.amin()), float(there.amax())))
        if not z.numel():
            return
        there = threshold(z, FORBIDDEN, 0.0)
        self.squares += float(torch.linalg.vector_norm(there)) ** 2
        keys = torch.gt(z, FORBIDDEN, out=there).sum(-1).double()  # (p, h, t)
        less = z.clamp(min=LOW)
        entropy = -less.softmax(-1).mul_(less.log_softmax(-1)).sum(-1).double()
        some, several = keys > 0, keys > 1
        relative = torch.where(several, entropy, 0.0) / keys.clamp(min=2).log()
        self.entropy += torch.where(some, entropy, 0.0).sum((0, 2)).cpu()
        self.relative += relative.sum((0, 2)).cpu()
        self.choices += several.sum((0, 2)).cpu()
        self.entries += int(keys.sum())
        self.rows += int(some.sum())
        self.keys = max(self.keys, int(keys.max()))

    @property
    def heads(self) -> int:
        return 0 if self.entropy is None else len(self.entropy)

    @property
    def rms(self) -> float:
        return math.sqrt(self.squares / self.entries) if self.entries else math.nan

    @property
    def mean_entropy(self) -> float:
        """Over examples, heads and queries, in nats."""
        assert self.entropy is not None
        return float(self.entropy.sum()) / self.rows if self.rows else math.nan

    @property
    def relative_by_head(self) -> Tensor:
        """Over examples and queries with a choice, (h,), from 0 to 1; NaN where there is none."""
        assert self.relative is not None
        assert self.choices is not None
        return self.relative / self.choices

    @property
    def relative_entropy(self) -> float:
        """The mean over all of them."""
        assert self.relative is not None
        assert self.choices is not None
        return float(self.relative.sum() / self.choices.sum())
