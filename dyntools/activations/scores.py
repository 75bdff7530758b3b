"""Scores: what an attention puts into its softmax, in blocks, whichever way it computes them.

    z_ij = scale · q_i·k_j + bias_ij,      (parts, heads, queries, keys)

Written out (`z`), they are a tensor of the model and are only read. Fused, they never exist, and
are computed anew from q and k for some examples and queries at a time. Their masks are known. Of
scores that are written out, a place is masked at FAR or below, or as `_unmasked` says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import threshold

LOW = -1e30  # stands for -inf, whose product with a share of zero is NaN
FORBIDDEN = -1e29  # at it or below, a place is masked in the blocks that are told
FAR = -5e4  # masks are -65504 (fp16), -1e9, the least number of the type or -inf; chosen
NEAR, GAP, DEEP = -9e3, (-7.5e3, -2.5e3), -1.25e4  # around masks of -1e4 (GPT-2, BERT); chosen
QUERIES = 32  # of one example and head, for the entropy; chosen
BLOCK = 1 << 18  # scores computed at a time, 1 MiB: they stay in the cache; chosen


@dataclass(frozen=True, eq=False)
class Scores:
    """Of one call: z (…, T, S), or q (…, T, E) and k (…, S, E) with as many heads.

    masks: each broadcasts to (…, T, S); boolean where True is allowed, else added to the scores.
    causal: query i sees keys up to i. refused: why there are no scores to see.
    """

    name: str
    z: Tensor | None = None
    q: Tensor | None = None
    k: Tensor | None = None
    scale: float = 1.0
    masks: Sequence[Tensor] = ()
    causal: bool = False
    refused: str = ""

    def blocks(self, examples: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Scores (p, heads, t, S) in float32 at least, FORBIDDEN or less where they do not count.

        With an even selection of QUERIES of all t, and the last among them, for what costs more.

        Raises ValueError where the first axis does not count examples times heads.
        """
        if self.z is not None:
            z = _arranged(self.z, examples)
            for parts, queries in _cut(z.shape):
                block = _unmasked(_float(z[parts, :, queries]))
                yield block, _some(block, queries, z.shape[2])
            return
        assert self.q is not None
        assert self.k is not None
        shape = (*self.q.shape[:-1], self.k.shape[-2])
        q, k = (_arranged(x, examples) for x in (self.q, self.k))
        masks = [_mask(mask, shape, examples) for mask in self.masks]
        for parts, queries in _cut((*q.shape[:3], shape[-1])):
            block = _float(q[parts, :, queries]) * self.scale @ _float(k[parts]).mT
            if self.causal:
                block.masked_fill_(_future(queries, block), LOW)
            for mask in masks:
                part = _part(mask, parts, queries)
                if part.dtype == torch.bool:
                    block.masked_fill_(~part, LOW)
                else:
                    block = (block + part).masked_fill_(part <= NEAR, LOW)
            yield block, _some(block, queries, q.shape[2])


def _arranged(x: Tensor, examples: int) -> Tensor:
    """(…, m, n) as (parts, heads, m, n): of three axes the first is examples times heads."""
    if x.ndim == 2:
        return x[None, None]
    if x.ndim == 3:
        if len(x) % examples:
            raise ValueError("the first axis of its scores does not count the examples")
        return x.reshape(examples, -1, *x.shape[1:])
    return x if x.ndim == 4 else x.flatten(1, -3)


def _mask(mask: Tensor, shape: Sequence[int], examples: int) -> Tensor:
    """A mask with four axes, expanded only where that is needed to arrange them."""
    if len(shape) <= 4 and mask.ndim <= 2:
        return mask[(None,) * (4 - mask.ndim)]
    if len(shape) == 4:
        return mask[(None,) * (4 - mask.ndim)]
    return _arranged(mask.expand(tuple(shape)), examples)


def _part(mask: Tensor, parts: slice, queries: slice) -> Tensor:
    mask = mask[parts] if mask.shape[0] > 1 else mask
    return mask[:, :, queries] if mask.shape[2] > 1 else mask


def _future(queries: slice, block: Tensor) -> Tensor:
    i = torch.arange(queries.start, queries.start + block.shape[2], device=block.device)
    return i[:, None] < torch.arange(block.shape[3], device=block.device)


def _some(block: Tensor, queries: slice, count: int) -> Tensor:
    step = -(-count // QUERIES)
    return block[:, :, (count - 1 - queries.start) % step :: step].contiguous()


def _unmasked(block: Tensor) -> Tensor:
    """Written scores with what is masked at FORBIDDEN or below.

    Masks of -1e4 are no lower than scores of a run that diverges. They are told by the GAP: scores
    above it, some below it and above DEEP, and none within or between DEEP and FAR.
    """
    least = float(threshold(block, FORBIDDEN, 0.0).amin()) if block.numel() else 0.0
    if least > GAP[0]:
        return block
    block = block.masked_fill(block <= FAR, LOW)
    low, high = GAP
    within = (block > low) & (block < high)
    if bool((block >= high).any()) and not bool((within | (block > LOW) & (block < DEEP)).any()):
        block = block.masked_fill_(block <= low, LOW)
    return block


def _float(x: Tensor) -> Tensor:
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def _cut(shape: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    """Several parts with all their queries, or one with some of them."""
    parts, heads, queries, keys = shape
    if not parts * heads * queries * keys:
        return
    most = max(BLOCK // max(heads * keys, 1), 1)  # queries
    together = max(most // max(queries, 1), 1)
    step = queries if together > 1 else math.ceil(queries / math.ceil(queries / most))
    for part in range(0, parts, together):
        for first in range(0, queries, max(step, 1)):
            yield slice(part, part + together), slice(first, first + step)
