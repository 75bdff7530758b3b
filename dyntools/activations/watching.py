"""Watching: what a forward pass computes on its way, told as it happens.

    activation functions   by a TorchFunctionMode, so wherever they are called; or by their class
    modules without parts  their outputs, by hooks (linear layers, convolutions, norms, …)
    linear layers          what enters them, wherever a matrix of the model is multiplied with

A place is named by the module it lies in: `h.0.mlp.gelu` is a call in `h.0.mlp`, `1` is a module
`nn.ReLU` at 1; the second call of the same in one pass is `layer1.0.relu#2`. Nothing is drawn,
changed or kept, and hooks and mode are gone afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch._C import DisableTorchFunction
from torch.overrides import TorchFunctionMode

from dyntools.activations.functions import AXES, CLASSES, FUNCTIONS, LAST, PRODUCTS, Kind
from dyntools.problem.matching import bare


@dataclass(frozen=True, eq=False)
class Seen:
    """One output. kind: of the activation function, None of any other module.

    axis: which one counts the units: that of the operation with weights that ran last.
    """

    name: str
    kind: Kind | None
    axis: int
    output: Tensor


Hear = Callable[[Seen], None]
HearInput = Callable[[str, Tensor], None]  # the name of a linear layer, what enters it


@contextmanager
def watched(
    model: nn.Module,
    hear: Hear,
    hear_input: HearInput = lambda name, x: None,
    weights: Sequence[Tensor] = (),
) -> Iterator[None]:
    """`hear` is told what one forward pass of `model` computes inside.

    weights: the tensors by which a product is known as a linear layer, beside `F.linear`.
    """
    watch = _Watch(hear, hear_input, {id(w) for w in weights})
    with ExitStack() as stack:
        for name, module in model.named_modules():
            for handle in (
                module.register_forward_pre_hook(watch.entering(bare(name), module)),
                module.register_forward_hook(watch.leaving(bare(name), module)),
            ):
                stack.callback(handle.remove)
        stack.enter_context(watch)
        yield


class _Watch(TorchFunctionMode):
    """inside: the modules whose forward is running. closed: how many of a class in CLASSES."""

    def __init__(self, hear: Hear, hear_input: HearInput, weights: Set[int]) -> None:
        super().__init__()
        self.hear, self.hear_input, self.weights = hear, hear_input, weights
        self.inside: list[tuple[str, nn.Module]] = []
        self.closed = 0
        self.axis = LAST
        self.calls: Counter[str] = Counter()
        self.last: Tensor | None = None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in PRODUCTS:
            self.product(func, args, kwargs or {})
        output = func(*args, **(kwargs or {}))
        if func in AXES:
            self.axis = AXES[func]
        elif func in FUNCTIONS and not self.closed:
            self.tell(self.place(FUNCTIONS[func]), FUNCTIONS[func], output)
        return output

    def product(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        """Tell what enters a linear layer, before anything is computed."""
        at, other = PRODUCTS[func]
        if len(args) <= max(at, other if other is not None else 0):
            return  # by keywords: nobody calls so
        x, name = args[at], self.inside[-1][0] if self.inside else ""
        if not isinstance(x, Tensor) or not x.is_floating_point():
            return
        if other is not None and not self.is_weight(args[other]):
            return
        self.calls[f"{name} input"] += 1
        count = self.calls[f"{name} input"]
        name = name or "model"
        with DisableTorchFunction():
            self.hear_input(name if count == 1 else f"{name}#{count}", x)

    def is_weight(self, matrix: object) -> bool:
        """A matrix of the model, or a view of one, as tied embeddings are."""
        if not isinstance(matrix, Tensor) or matrix.ndim != 2:
            return False
        return id(matrix) in self.weights or id(matrix._base) in self.weights

    def place(self, kind: Kind) -> str:
        """The name of a call: that of the module where this is an activation function itself."""
        name, module = self.inside[-1] if self.inside else ("", None)
        if name and type(module).__module__ == "torch.nn.modules.activation":
            return name
        return f"{name}.{kind.name}" if name else kind.name

    def tell(self, name: str, kind: Kind | None, output: object) -> None:
        if not isinstance(output, Tensor) or not output.is_floating_point() or not output.numel():
            return
        self.last = output
        self.calls[name] += 1
        count = self.calls[name]
        with DisableTorchFunction():  # what a listener computes is no part of the pass
            self.hear(Seen(name if count == 1 else f"{name}#{count}", kind, self.axis, output))

    def entering(self, name: str, module: nn.Module) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object) -> None:
            self.inside.append((name, module))
            self.closed += type(module).__name__ in CLASSES

        return hook

    def leaving(self, name: str, module: nn.Module) -> Callable[..., None]:
        known, is_leaf = type(module).__name__ in CLASSES, not any(module.children())

        def hook(module: nn.Module, inputs: object, output: object) -> None:
            self.inside.pop()
            self.closed -= known
            if self.closed or output is self.last:
                return
            if known:
                self.tell(name, CLASSES[type(module).__name__], output)
            elif is_leaf and name:
                self.tell(name, None, output)

        return hook
