"""What a step works on at a time: large parameters in pieces, small ones together.

A CPU is fastest where a piece stays in its cache through all operations of the step, an accelerator
where one call has much to do. Either bounds the temporary memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat

from torch import Tensor

from dyntools.optim.mean_squares import PIECE, in_rows, rows_at_once

# On an accelerator, bytes of parameters updated by one call: enough of them to fill it, and a
# bound on the temporary memory. Chosen; no source.
TOGETHER = 1 << 26


@dataclass(frozen=True, slots=True)
class Part:
    """A parameter, or some rows of it, with what its update needs.

    kept: the second moment as stored. step: t, this step included.
    """

    param: Tensor
    grad: Tensor
    first: Tensor
    kept: tuple[Tensor, ...]
    step: float


@dataclass(frozen=True, slots=True)
class Move:
    """What a parameter is moved by: first / denominator.

    denominator: broadcasts to the parameter, eps included. columns: None but where factored; the
        denominator is then eps plus the product of the two.
    """

    part: Part
    denominator: Tensor
    columns: Tensor | None = None


def pieces(part: Part) -> Iterator[Part]:
    """Rows of a parameter kept in full, or all of it where it is small."""
    rows = _rows(part.param)
    if rows is None:
        yield part
        return
    tensors = (part.param, part.grad, part.first, part.kept[0])
    for param, grad, first, second in zip(*(in_rows(t, rows) for t in tensors), strict=True):
        yield Part(param, grad, first, (second,), part.step)


def pieces_of_move(move: Move) -> Iterator[Move]:
    """Rows of a parameter in any other form, or all of it where it is small."""
    rows, part = _rows(move.part.param), move.part
    if rows is None:
        yield move
        return
    roots, columns = (_split(t, rows, len(part.param)) for t in (move.denominator, move.columns))
    tensors = (part.param, part.grad, part.first)
    split = zip(*(in_rows(t, rows) for t in tensors), roots, columns, strict=False)
    for param, grad, first, root, column in split:
        yield Move(Part(param, grad, first, (), part.step), root, column)


def _split(tensor: Tensor | None, rows: int, length: int) -> Iterable[Tensor | None]:
    """Pieces for `rows` rows of a tensor of `length`; where it broadcasts along them, itself."""
    if tensor is None or tensor.shape[0] != length:
        return repeat(tensor)
    return in_rows(tensor, rows)


def _rows(param: Tensor) -> int | None:
    """Rows in a piece; None where the parameter is one piece."""
    if param.numel() * param.itemsize <= PIECE or param.device.type != "cpu":
        return None
    return rows_at_once(param)


def batches(parts: list[Part], together: bool) -> Iterator[slice]:
    """Runs of one device and dtype that are small enough to share calls."""
    start, size, kind = 0, 0, None
    for index, part in enumerate(parts):
        param = part.param
        limit = PIECE if param.device.type == "cpu" else TOGETHER
        each, same = param.numel() * param.itemsize, (param.device, param.dtype, part.grad.dtype)
        if index > start and (not together or size + each > limit or same != kind):
            yield slice(start, index)
            start, size = index, 0
        size, kind = size + each, same
    if parts:
        yield slice(start, len(parts))
