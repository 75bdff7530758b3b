"""Forms: how the second moment of one tensor may be kept in less memory than one value a weight.

    full        v                                        one value a weight
    axes K      mean of v over the axes K                SlimAdam, Kalra et al. 2025, 2503.01843
    blocks      mean of v over equal runs of weights     Adam-mini, Zhang et al. 2024, 2406.16793
    factored    row means × column means / mean          Adafactor, Shazeer & Stern 2018, 1804.04235
    8-bit       blocks of codes with one scale each      Dettmers et al. 2022, 2110.02861

`reduced` is what an optimizer stores, `expanded` what it divides by. Both commute with the running
mean of squared gradients (all but 8-bit, which is rounded at each step): averaging g² and then over
time is averaging over time and then v.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["full", "axes", "blocks", "factored", "8-bit"]
FLOAT32 = 4  # bytes of a number in float32, in which moments are kept
EIGHT_BIT_BLOCK = 256  # weights that share a scale: bitsandbytes since 0.44
_LABEL = re.compile(r"axes (\d+(?:,\d+)*)|blocks ([1-9]\d*)")


@dataclass(frozen=True)
class Form:
    """One way to keep v.

    axes: averaged away, ascending, of the tensor as torch stores it.
    blocks: into how many equal runs of consecutive weights the tensor is cut.
    """

    kind: Kind = "full"
    axes: tuple[int, ...] = ()
    blocks: int = 0

    @property
    def label(self) -> str:
        """`full`, `axes 0,1`, `blocks 12`, `factored`, `8-bit`; `form_of` reads it back."""
        if self.kind == "axes":
            return "axes " + ",".join(map(str, self.axes))
        return f"blocks {self.blocks}" if self.kind == "blocks" else self.kind

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether a tensor of this shape can be kept so."""
        if self.kind == "axes":
            return bool(self.axes) and max(self.axes) < len(shape)
        if self.kind == "blocks":
            return self.blocks > 0 and math.prod(shape) % self.blocks == 0
        return self.kind != "factored" or len(shape) >= 2

    def shapes(self, shape: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        """Of what is kept, as `reduced` returns it; of 8-bit, the codes."""
        if self.kind == "factored":
            *stack, rows, columns = shape
            return (*stack, rows, 1), (*stack, 1, columns)
        if self.kind == "blocks":
            return ((self.blocks,),)
        return (tuple(1 if axis in self.axes else n for axis, n in enumerate(shape)),)

    def values(self, shape: Sequence[int]) -> int:
        """How many numbers are kept; of 8-bit, codes."""
        return sum(map(math.prod, self.shapes(shape)))

    def bytes(self, shape: Sequence[int], itemsize: int = FLOAT32) -> int:
        """Memory of the second moment; `itemsize` bytes a number, one a code of 8-bit."""
        kept = self.values(shape)
        if self.kind == "8-bit":
            return kept + 4 * math.ceil(kept / EIGHT_BIT_BLOCK)
        return kept * itemsize


FULL = Form()
FACTORED = Form("factored")
EIGHT_BIT = Form("8-bit")


def mean_over(*axes: int) -> Form:
    """The mean over these axes."""
    return Form("axes", tuple(sorted(axes)))


def in_blocks(count: int) -> Form:
    """The mean of each of `count` equal runs of consecutive weights."""
    return Form("blocks", blocks=count)


def form_of(label: str) -> Form:
    """The form of a label. Raises ValueError for what is none."""
    for plain in (FULL, FACTORED, EIGHT_BIT):
        if label == plain.label:
            return plain
    found = _LABEL.fullmatch(label)
    if found is None:
        raise ValueError(f"{label!r} is no way to keep a second moment")
    if found[1] is None:
        return in_blocks(int(found[2]))
    axes = [int(axis) for axis in found[1].split(",")]
    if len(set(axes)) < len(axes):
        raise ValueError(f"{label!r} names an axis twice")
    return mean_over(*axes)


def reduced(form: Form, tensor: Tensor) -> tuple[Tensor, ...]:
    """What is stored for `tensor`. Not for 8-bit, whose codes depend on the step before.

    Averaged axes keep length one; factored: rows (…, r, 1) and columns (…, 1, c).
    """
    if form.kind == "axes":
        return (tensor.mean(form.axes, keepdim=True),)
    if form.kind == "blocks":
        return (tensor.reshape(form.blocks, -1).mean(1),)
    if form.kind == "factored":
        return tensor.mean(-1, keepdim=True), tensor.mean(-2, keepdim=True)
    assert form.kind == "full", form
    return (tensor,)


def expanded(form: Form, kept: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
    """The second moment that the stored numbers stand for; broadcasts to `shape`."""
    if form.kind == "blocks":
        each = math.prod(shape) // form.blocks
        return kept[0][:, None].expand(form.blocks, each).reshape(tuple(shape))
    if form.kind == "factored":
        rows, columns = kept
        mean = rows.mean(-2, keepdim=True)
        # A tensor that no gradient has reached yet is zero, not NaN.
        return rows / mean.clamp_min(_tiny(mean)) * columns
    return kept[0]


def _tiny(tensor: Tensor) -> float:
    import torch

    return float(torch.finfo(tensor.dtype).tiny)
