"""Eight bits: block-wise dynamic quantisation of numbers that are not negative.

    v ≈ map[code] · scale        scale: the largest v of its 256 consecutive values

The map has 256 values: 0, 1, and in each decade 10^(i-6)·(0.1, 1), i = 0 … 6, the middles of
2^(i+1) equal intervals: the larger the value, the finer its relative steps. Below 1.6e-7 of the
largest of its block a value is stored as 0.

Dettmers 2016, 8-bit approximations for parallelism in deep learning, arXiv:1511.04561 (dynamic
data type); Dettmers et al. 2022, 8-bit optimizers via block-wise quantization, arXiv:2110.02861
(blocks, the unsigned map). This is the map and the rounding of bitsandbytes.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

DECADES = 7
BLOCK = 256  # values that share a scale: bitsandbytes since 0.44
CHUNK = 2**10  # blocks at a time, 2 MB of float64; chosen


@cache
def unsigned_map() -> tuple[float, ...]:
    """The 256 values, ascending from 0 to 1."""
    values = [0.0]
    for i in range(DECADES):
        count = 2 ** (i + 1)
        decade = 10.0 ** (i + 1 - DECADES)
        values += [decade * (0.1 + 0.9 * (k + 0.5) / count) for k in range(count)]
    return (*values, 1.0)


def quantised(v: Tensor) -> tuple[Tensor, Tensor]:
    """Codes (values,) in uint8 and scales (blocks,) in float64, of a tensor of any shape."""
    import torch

    table = v.new_tensor(unsigned_map(), dtype=torch.float64)
    borders = (table[1:] + table[:-1]) / 2
    flat = v.reshape(-1)
    codes = torch.empty(flat.numel(), dtype=torch.uint8, device=v.device)
    scales = []
    for part in _chunks(flat.numel()):
        blocks = _in_blocks(flat[part].double())
        scale = blocks.amax(1)
        # A block of zeros has the scale 0 and the codes 0.
        share = blocks / torch.where(scale > 0, scale, 1.0)[:, None]
        found = torch.bucketize(share.flatten(), borders, out_int32=True)
        codes[part] = found[: part.stop - part.start].to(torch.uint8)
        scales.append(scale)
    return codes, torch.cat(scales) if scales else flat.double()


def dequantised(codes: Tensor, scales: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The numbers that codes and scales stand for, in float64."""
    import torch

    table = scales.new_tensor(unsigned_map())
    v = torch.empty(codes.numel(), dtype=torch.float64, device=codes.device)
    for part in _chunks(codes.numel()):
        first, last = part.start // BLOCK, math.ceil(part.stop / BLOCK)
        blocks = _in_blocks(table[codes[part].int()]) * scales[first:last, None]
        v[part] = blocks.flatten()[: part.stop - part.start]
    return v.reshape(shape)


def _chunks(count: int) -> list[slice]:
    step = CHUNK * BLOCK
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def _in_blocks(values: Tensor) -> Tensor:
    """(blocks, 256), the last one filled up with zeros."""
    from torch.nn.functional import pad

    return pad(values, (0, -values.numel() % BLOCK)).view(-1, BLOCK)
