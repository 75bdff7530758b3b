"""Tracing: the losses of many examples in one pass, and the uses of every tensor in it.

The losses are taken by `torch.func.vmap`, which knows where the examples lie in every tensor of the
model. Where a parameter meets a linear layer, a convolution or an embedding, the plain operation
runs for all examples at once and its inputs and outputs are noted; anywhere else a parameter is
given to each example by itself, so that autograd forms the gradient of each. One backward pass
then gives the gradients by all that was noted.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from dyntools.problem.batches import Batch, is_along, rows
from dyntools.problem.evaluation import Evaluation
from dyntools.problem.uses import Dense, Outer, Rows, Summed, Use

Using = Callable[[Tensor], Use]  # the gradient by what was noted → the use


def traced(
    evaluation: Evaluation, leaves: Sequence[Tensor], batch: Batch
) -> tuple[Tensor, list[list[Use]]]:
    """The mean loss of each example (B,), and the uses of each leaf, none where it has no part.

    To be called within the evaluation. Raises whatever vmap makes of a model that it cannot trace.
    """
    parts, structure = pytree.tree_flatten(batch)
    count = rows(batch)
    axes = tuple(0 if is_along(part, count) else None for part in parts)
    given = tuple(leaf.detach().expand(count, *leaf.shape).requires_grad_() for leaf in leaves)
    trace = _Trace(leaves)

    def one(holders: tuple[Tensor, ...], *parts: object) -> Tensor:
        single = [
            part[None] if axis == 0 and isinstance(part, Tensor) else part
            for part, axis in zip(parts, axes, strict=True)
        ]
        loss = partial(evaluation.loss, pytree.tree_unflatten(single, structure))
        trace.holders = {id(holder): i for i, holder in enumerate(holders)}
        with trace:
            return evaluation.holding(holders, loss)

    with _slow_rules_untold():
        losses: Tensor = torch.func.vmap(one, in_dims=((0,) * len(leaves), *axes))(given, *parts)
        noted = [output for output, _, _ in trace.noted]
        found = torch.autograd.grad(losses.sum(), [*noted, *given], allow_unused=True)
    uses: list[list[Use]] = [[] for _ in leaves]
    for (_, leaf, use), gradient in zip(trace.noted, found, strict=False):
        if gradient is not None:
            uses[leaf].append(use(gradient))
    for leaf, gradient in enumerate(found[len(noted) :]):
        if gradient is not None:
            uses[leaf].append(Dense(gradient))
    return losses.detach(), uses


@contextmanager
def _slow_rules_untold() -> Iterator[None]:
    """An operation that vmap loops over (weight_norm's) is slower and right: nobody's to act on."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "There is a performance drop because", UserWarning)
        yield


class _Trace(TorchFunctionMode):
    """Inside, operations with parameters are noted.

    holders: the index of a leaf by the identity of what the model holds in its place.
    noted: output, index of the leaf, and what the gradient by the output says of it.
    """

    def __init__(self, leaves: Sequence[Tensor]) -> None:
        super().__init__()
        self.leaves = leaves
        self.holders: Mapping[int, int] = {}
        self.noted: list[tuple[Tensor, int, Using]] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        known = KNOWN.get(func)
        if known is not None:
            found = known(self, *args, **kwargs)
            if found is not None:
                return found
        return func(*args, **kwargs)

    def index(self, tensor: object) -> int | None:
        """Which leaf this is."""
        return self.holders.get(id(tensor))

    def note(self, output: Tensor, *uses: tuple[int, Using]) -> Tensor:
        """The output, from now on with its uses."""
        seen, whole = _seen(output)
        assert whole is not None
        self.noted += [(whole, leaf, use) for leaf, use in uses]
        return seen


def _linear(trace: _Trace, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    leaf, shift = trace.index(weight), trace.index(bias)
    if leaf is None or (bias is not None and shift is None):
        return None
    input, x = _seen(input)
    if x is None:
        return None
    output = F.linear(input, trace.leaves[leaf], None if shift is None else trace.leaves[shift])
    shape = tuple(trace.leaves[leaf].shape)
    x = x.reshape(len(x), -1, shape[1]).detach()
    uses: list[tuple[int, Using]] = [(leaf, lambda d: Outer(_positions(d), x, shape))]
    if shift is not None:
        uses.append((shift, lambda d: Summed(_positions(d))))
    return trace.note(output, *uses)


def _addmm(trace: _Trace, input: Tensor, mat1: Tensor, mat2: Tensor) -> Any:
    """Hugging Face's Conv1D: x W + b."""
    shift, leaf = trace.index(input), trace.index(mat2)
    if leaf is None or shift is None:
        return None
    mat1, x = _seen(mat1)
    if x is None:
        return None
    output = torch.addmm(trace.leaves[shift], mat1, trace.leaves[leaf])
    shape = tuple(trace.leaves[leaf].shape)
    x = x.reshape(len(x), -1, shape[0]).detach()
    return trace.note(
        output,
        (leaf, lambda d: Outer(x, _positions(d), shape)),
        (shift, lambda d: Summed(_positions(d))),
    )


def _matmul(trace: _Trace, input: Tensor, other: Tensor) -> Any:
    leaf = trace.index(other)
    if leaf is None or other.ndim != 2:
        return None
    input, x = _seen(input)
    if x is None:
        return None
    shape = tuple(trace.leaves[leaf].shape)
    x = x.reshape(len(x), -1, shape[0]).detach()
    output = input @ trace.leaves[leaf]
    return trace.note(output, (leaf, lambda d: Outer(x, _positions(d), shape)))


def _embedding(
    trace: _Trace,
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    leaf = trace.index(weight)
    if leaf is None or max_norm is not None or scale_grad_by_freq:
        return None
    input, index = _seen(input)
    if index is None:
        return None
    table = trace.leaves[leaf]
    output = F.embedding(input, table)
    index = index.reshape(len(index), -1)

    def rows_of(d: Tensor) -> Use:
        d = _positions(d)
        if padding_idx is not None:  # its row is never trained
            d = d * (index != padding_idx % len(table))[..., None]
        return Rows(d, index, tuple(table.shape))

    return trace.note(output, (leaf, rows_of))


KNOWN: Mapping[Callable[..., Any], Callable[..., Any]] = {
    F.linear: _linear,
    torch.addmm: _addmm,
    torch.matmul: _matmul,
    Tensor.matmul: _matmul,
    Tensor.__matmul__: _matmul,
    F.embedding: _embedding,
}


def _positions(d: Tensor) -> Tensor:
    """(B, …, width) → (B, P, width)."""
    return d.reshape(len(d), -1, d.shape[-1])


def _seen(tensor: Tensor) -> tuple[Tensor, Tensor | None]:
    """The tensor, and the same of all examples, (B, …); None where it is common to them."""
    whole: list[Tensor] = []
    return _Seen.apply(tensor, whole.append), whole[0] if whole else None  # type: ignore[no-untyped-call]


class _Seen(torch.autograd.Function):
    """The identity; under vmap it tells of the tensor of all examples."""

    @staticmethod
    def forward(tensor: Tensor, tell: Callable[[Tensor], None]) -> Tensor:
        return tensor.view_as(tensor)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return gradient, None

    @staticmethod
    def vmap(info: Any, in_dims: Any, tensor: Tensor, tell: Callable[[Tensor], None]) -> Any:
        whole = tensor.movedim(in_dims[0], 0)
        tell(whole)
        return whole, 0
