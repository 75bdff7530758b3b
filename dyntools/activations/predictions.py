"""Predictions: the logits of some terms of the loss, and how far those of two steps are apart.

    KL(p ‖ q) = Σ_c p_c (log p_c - log q_c),  p = softmax(z' / T), q = softmax(z / T)      nats

Of more terms than BYTES hold, those are kept whose place k in the probe has k φ mod 1 below a
threshold, φ the golden ratio: an even selection of any density, the same ones at every step.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from dyntools.activations.outputs import Terms
from dyntools.activations.patterns import GROUPS
from dyntools.activations.selection import WORD, golden

BYTES = 32 << 20  # of the logits kept of one step: 166 terms of 50,257 classes; chosen
TERMS = 1 << 14  # 0.1 s to compare with ten classes; chosen
CHUNK = 1 << 20  # logits compared at a time, 8 MiB; chosen


@dataclass(eq=False)
class Predictions:
    """logits: (k, C) by pieces. places: of them in the probe, (k,). groups: of their examples.

    seen: places so far. below: of 2³², the threshold of the selection.
    """

    logits: list[Tensor] = field(default_factory=list)
    places: list[Tensor] = field(default_factory=list)
    groups: list[Tensor] = field(default_factory=list)
    seen: int = 0
    below: int = WORD

    @property
    def count(self) -> int:
        return sum(map(len, self.places))

    def add(self, terms: Terms, groups: Tensor) -> None:
        """The terms of a piece; groups: of its examples, (b,)."""
        z = terms.logits.reshape(-1, terms.logits.shape[-1])
        counted = terms.counted.reshape(-1).cpu()
        places = self.seen + torch.arange(len(z))
        self.seen += len(z)
        kept = counted & (golden(places) < self.below)
        self.logits.append(z[kept.to(z.device)].cpu())
        self.places.append(places[kept])
        self.groups.append(groups.repeat_interleave(len(z) // len(groups))[kept])
        most = max(min(TERMS, BYTES // (z.shape[-1] * z.element_size())), GROUPS)
        while self.count > most:
            self._halve()

    def _halve(self) -> None:
        self.below //= 2
        for i, places in enumerate(self.places):
            kept = golden(places) < self.below
            self.logits[i], self.groups[i] = self.logits[i][kept], self.groups[i][kept]
            self.places[i] = places[kept]


@dataclass(frozen=True, eq=False)
class Drift:
    """Sums over the terms of each group of examples, (GROUPS,): how many, and of each number."""

    terms: Tensor
    forward: Tensor
    reverse: Tensor
    changed: Tensor


def drift(before: Predictions, now: Predictions, temperature: float = 1.0) -> Drift | str:
    """Over the terms that both hold; or why there are none.

    forward: T² KL(before ‖ now), reverse the other way round, changed: another class is the top.
    """
    if not before.count or not now.count:
        return "no term of the loss counts"
    if before.logits[0].shape[-1] != now.logits[0].shape[-1]:
        return (
            f"there were {before.logits[0].shape[-1]} classes then and"
            f" {now.logits[0].shape[-1]} now"
        )
    first, second, groups = _common(before, now)
    sums = torch.zeros(4, GROUPS, dtype=torch.float64)
    rows = max(CHUNK // first.shape[-1], 1)
    for z, w, group in zip(*(torch.split(x, rows) for x in (first, second, groups)), strict=True):
        p, q = ((x.double() / temperature).log_softmax(-1) for x in (z, w))
        gap = q.exp() - p.exp()  # sums to zero, and cancels the first order of each term
        forward = (p.exp() * (p - q) + gap).sum(-1) * temperature**2
        reverse = (q.exp() * (q - p) - gap).sum(-1) * temperature**2
        changed = (z.argmax(-1) != w.argmax(-1)).double()
        columns = torch.stack([torch.ones_like(forward), forward, reverse, changed])
        sums.index_add_(1, group, columns)
    return Drift(*sums)


def _common(before: Predictions, now: Predictions) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (k, C) of both and the groups (k,) of the places that both hold."""
    places = [torch.cat(one.places) for one in (before, now)]
    here, there = (torch.isin(a, b) for a, b in (places, reversed(places)))
    first, second = torch.cat(before.logits)[here], torch.cat(now.logits)[there]
    return first, second, torch.cat(before.groups)[here]
