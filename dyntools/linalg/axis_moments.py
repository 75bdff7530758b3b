"""Mean and variance of a tensor over every subset of its axes, in float64, by one reading.

    var_{K∪a} = mean_a var_K + var_a mean_K          (law of total variance)

The single axes come from one walk over the tensor in blocks that fit into a processor's cache: each
block is converted to float64 once, and its values and their squares are summed along every axis.
All larger subsets follow from the reduced arrays by the law above, which only adds, so that nothing
cancels and a constant slice keeps the variance 0.

Sums of squares lose as many digits as there are in mean²/var. Where that is more than four, the
variances of that axis are taken again from deviations, in a second walk. Squares of float32 stay
inside float64's range from its denormals to its largest; float64 tensors are scaled by a power of
two, and values below 1e-150 of their largest count as zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Axes = tuple[int, ...]
Where = tuple[slice, ...]  # the part of each axis
Pair = tuple["Tensor", "Tensor"]  # mean and variance; the reduced axes have length 1
BLOCK = 2**17  # values; 1 MB of float64. Measured on 768 columns: 2^16 and 2^18 are slower.
BLOCK_ON_A_GPU = 2**24  # chosen: few launches, 128 MB
STACK = 2**10  # numbers in a stack of identities. Measured: 27 gain 7 times, 20000 lose 3 times.
# Relative variance below which sums of squares have lost four of their 16 digits.
CANCELLED = 1e-4
# Relative variance that is rounding: of float64 values that differ in their last bits. Any two
# values of float32 that differ give more than this, in slices of up to 10^14.
CONSTANT = (8 * float(np.finfo(np.float64).eps)) ** 2


@dataclass(frozen=True, eq=False)
class AxisMoments:
    """Mean and variance (ddof 0) over some axes, flattened over those that are kept, in float64.

    least: the smallest value of the whole tensor in its own unit, NaN where it holds one.
    exponent: the unit is 2^exponent; 0 but for float64 tensors, whose squares need not fit.
    """

    mean: Tensor  # (kept,)
    var: Tensor  # (kept,)
    least: float
    exponent: int = 0

    @property
    def is_zero(self) -> Tensor:
        """Of each slice of a tensor without negative values, whether all of it is zero."""
        return self.mean == 0

    @property
    def is_constant(self) -> Tensor:
        """Of each slice, whether all its values are the same and not zero."""
        return (self.mean != 0) & (self.var <= CONSTANT * self.mean.square())


def subsets(shape: tuple[int, ...]) -> tuple[Axes, ...]:
    """All sets of axes longer than 1: single ones first, each number of axes in order."""
    axes = [axis for axis, length in enumerate(shape) if length > 1]
    return tuple(chosen for k in range(len(axes)) for chosen in combinations(axes, k + 1))


def axis_moments(tensor: Tensor) -> Iterator[tuple[Axes, AxisMoments]]:
    """Moments over each of `subsets(tensor.shape)`, in that order; nothing for a single value.

    A value that is not finite makes NaN or infinite what it enters, and maybe more. Memory: 16
    bytes for each number that is kept by the sets of axes up to this one, and one block.
    """
    if tensor.numel() < 2:
        return
    walk = _Walk(tensor.detach().squeeze())
    known: dict[Axes, Pair] = {(axis,): found for axis, found in enumerate(_single_axes(walk))}
    least = math.ldexp(float(walk.least), walk.exponent)
    for axes, chosen in zip(subsets(tuple(tensor.shape)), subsets(walk.shape), strict=True):
        if chosen not in known:
            known[chosen] = _joined(known, chosen, walk.shape)
        mean, var = known[chosen]
        yield axes, AxisMoments(mean.flatten(), var.flatten(), least, walk.exponent)


def _joined(known: dict[Axes, Pair], chosen: Axes, shape: tuple[int, ...]) -> Pair:
    """From the smallest array that lacks one axis of `chosen`."""
    axis = min(chosen, key=lambda a: shape[a])
    mean, var = known[tuple(a for a in chosen if a != axis)]
    whole = mean.mean(axis, keepdim=True)
    between = (mean - whole).square_().mean(axis, keepdim=True)
    return whole, between.add_(var.mean(axis, keepdim=True))


def _single_axes(walk: _Walk) -> Iterator[Pair]:
    """The moments over each single axis."""
    for axis, (mean, var) in enumerate(_sums(walk)):
        length = walk.shape[axis]
        mean.div_(length)
        var.div_(length).sub_(mean.square()).clamp_min_(0.0)
        cancelled = bool((var < CANCELLED * mean.square()).any())
        yield _by_deviations(walk, axis, mean) if cancelled else (mean, var)


def _sums(walk: _Walk) -> list[Pair]:
    """Along every axis, the sums of the values and of their squares."""
    axes = range(len(walk.shape))
    sums = [(walk.zeros(axis), walk.zeros(axis)) for axis in axes]
    for where, block in walk:
        walk.least = walk.least.minimum(block.amin())
        for axis in axes:
            walk.add(_at(sums[axis][0], where, axis), block, axis)
        block.mul_(block)
        for axis in axes:
            walk.add(_at(sums[axis][1], where, axis), block, axis)
    return sums


def _by_deviations(walk: _Walk, axis: int, mean: Tensor) -> Pair:
    """The moments over one axis from a mean that is nearly right.

    Constants of up to 24 bits have an exact mean, and so no deviations. Those of float64 are all
    off by the same, which the correction takes away.
    """
    off, squares = walk.zeros(axis), walk.zeros(axis)
    for where, block in walk:
        walk.subtract(_at(mean, where, axis), block, axis)
        walk.add(_at(off, where, axis), block, axis)
        walk.add(_at(squares, where, axis), block.square_(), axis)
    off.div_(walk.shape[axis])
    var = squares.div_(walk.shape[axis]).sub_(off.square()).clamp_min_(0.0)
    return mean + off, var


def _at(reduced: Tensor, where: Where, axis: int) -> Tensor:
    """The part of an array without `axis` that a block contributes to."""
    return reduced[tuple(slice(None) if a == axis else part for a, part in enumerate(where))]


class _Walk:
    """A tensor without axes of length 1 in blocks of float64, which share one buffer."""

    def __init__(self, tensor: Tensor) -> None:
        import torch

        self.tensor, self.shape = tensor, tuple(tensor.shape)
        # Accelerators other than CUDA have no float64.
        self.device = tensor.device if tensor.is_cuda else torch.device("cpu")
        self.most = min(BLOCK_ON_A_GPU if tensor.is_cuda else BLOCK, tensor.numel())
        self.exponent = _exponent(tensor) if tensor.dtype == torch.float64 else 0
        self._buffer = torch.empty(self.most, dtype=torch.float64, device=self.device)
        self._ones = self._buffer.new_ones(self.most)
        self._stacks: dict[tuple[int, int], Tensor] = {}
        self.least = self._buffer.new_tensor(math.inf)

    def zeros(self, axis: int) -> Tensor:
        """Room for one number of each slice along `axis`."""
        shape = [1 if a == axis else length for a, length in enumerate(self.shape)]
        return self._buffer.new_zeros(shape)

    def __iter__(self) -> Iterator[tuple[Where, Tensor]]:
        """Each block with the part of every axis that it covers; overwritten by the next."""
        for where in _parts(self.shape, self.most):
            part = self.tensor[where]
            block = self._buffer[: part.numel()].view(part.shape).copy_(part)
            if self.exponent:  # in two halves, as 2^1030 is no float64
                half = self.exponent // 2
                block.mul_(2.0**-half).mul_(2.0 ** (half - self.exponent))
            yield where, block

    def add(self, sums: Tensor, block: Tensor, axis: int) -> None:
        """The sum over one axis, added to what is there. A product with ones is the fastest sum."""
        outer, length, inner = _around(block, axis)
        if inner == 1:
            sums.view(outer).addmv_(block.view(outer, length), self._ones[:length])
        elif outer == 1:
            sums.view(inner).addmv_(block.view(length, inner).mT, self._ones[:length])
        elif length * inner * inner <= STACK:
            stack = self._stack(length, inner)
            sums.view(outer, inner).addmm_(block.view(outer, length * inner), stack)
        else:
            sums.view(outer, inner).add_(block.view(outer, length, inner).sum(1))

    def subtract(self, means: Tensor, block: Tensor, axis: int) -> None:
        """Each slice loses its mean. Products as in `add`, each of which has only one term."""
        outer, length, inner = _around(block, axis)
        if inner == 1:
            block.view(outer, length).addr_(means.view(outer), self._ones[:length], alpha=-1)
        elif outer > 1 and length * inner * inner <= STACK:
            spread = self._stack(length, inner).mT
            block.view(outer, length * inner).addmm_(means.view(outer, inner), spread, alpha=-1)
        else:
            block.sub_(means)

    def _stack(self, length: int, inner: int) -> Tensor:
        """Identities on top of one another, (length * inner, inner). Sums over the short axes of a
        convolution become a product, which is faster than over strided memory."""
        key = length, inner
        if key not in self._stacks:
            self._stacks[key] = self._buffer.new_ones(inner).diag().repeat(length, 1)
        return self._stacks[key]


def _around(block: Tensor, axis: int) -> tuple[int, int, int]:
    """How many values lie before, along and behind an axis."""
    length, inner = block.shape[axis], math.prod(block.shape[axis + 1 :])
    return block.numel() // (length * inner), length, inner


def _parts(shape: tuple[int, ...], most: int) -> Iterator[Where]:
    """A shape cut along its first axis into parts of at most so many values; along the next where
    one entry of the first holds more."""
    first, *rest = shape
    each = math.prod(rest)
    if each > most:
        for i in range(first):
            yield from ((slice(i, i + 1), *part) for part in _parts(tuple(rest), most))
        return
    for start in range(0, first, most // each):
        stop = min(start + most // each, first)
        yield (slice(start, stop), *(slice(0, length) for length in rest))


def _exponent(tensor: Tensor) -> int:
    """Of the largest magnitude as a power of two; 0 where it is none."""
    largest = max(abs(float(end)) for end in tensor.aminmax())
    return math.frexp(largest)[1] if math.isfinite(largest) else 0
