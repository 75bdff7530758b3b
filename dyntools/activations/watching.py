"""Watching: what a forward pass computes on its way, told as it happens.

    activation functions   by a TorchFunctionMode, so wherever they are called; or by their class
    modules without parts  their outputs, by hooks (linear layers, convolutions, norms, …)
    linear layers          what enters them, wherever a matrix of the model is multiplied with
    attentions             what enters their softmax, computed anew where it is fused: `attending`

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
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from dyntools.activations.attending import Attending
from dyntools.activations.functions import AXES, CLASSES, FUNCTIONS, LAST, PRODUCTS, Kind
from dyntools.activations.scores import Scores
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


@dataclass(frozen=True, eq=False)
class Product:
    """A linear layer: what entered, x (…, d), and x weightᵀ + bias (…, k); weight (k, d)."""

    name: str
    x: Tensor
    weight: Tensor
    output: Tensor


Hear = Callable[[Seen], None]
HearProduct = Callable[[Product], None]
HearScores = Callable[[Scores], None]


@contextmanager
def watched(
    model: nn.Module,
    hear: Hear,
    hear_product: HearProduct = lambda product: None,
    weights: Sequence[Tensor] = (),
    hear_scores: HearScores = lambda scores: None,
) -> Iterator[None]:
    """`hear` is told what one forward pass of `model` computes inside.

    weights: the tensors by which a product is known as a linear layer, beside `F.linear`.
    """
    watch = _Watch(hear, hear_product, hear_scores, {id(w) for w in weights})
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

    def __init__(
        self, hear: Hear, hear_product: HearProduct, hear_scores: HearScores, weights: Set[int]
    ) -> None:
        super().__init__()
        self.hear, self.hear_product, self.hear_scores = hear, hear_product, hear_scores
        self.weights = weights
        self.attending = Attending(self.is_weight)
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
        output = func(*args, **(kwargs or {}))
        if func in PRODUCTS:
            self.product(func, args, output)
        if (attended := self.attending.after(func, args, kwargs or {}, output)) is not None:
            with DisableTorchFunction():
                self.hear_scores(attended(self.numbered(self.attention(), "attention")))
        if func in AXES:
            self.axis = AXES[func]
        elif func in FUNCTIONS and not self.closed:
            self.tell(self.place(FUNCTIONS[func]), FUNCTIONS[func], output)
        return output

    def product(self, func: Callable[..., Any], args: Sequence[Any], output: Tensor) -> None:
        """Tell of a linear layer."""
        entering, matrix, transposed = PRODUCTS[func]
        if len(args) <= max(entering, matrix):
            return  # by keywords: nobody calls so
        x, weight, name = args[entering], args[matrix], self.inside[-1][0] if self.inside else ""
        if not isinstance(x, Tensor) or not x.is_floating_point():
            return
        if func is not F.linear and not (self.is_weight(weight) and weight.ndim == 2):
            return
        name = self.numbered(name, "input")
        with DisableTorchFunction():
            weight = weight.T if transposed else weight
            self.hear_product(Product(name, x, weight, output))

    def is_weight(self, matrix: object) -> bool:
        """A tensor of the model, or a view of one, as tied embeddings are."""
        if not isinstance(matrix, Tensor):
            return False
        return id(matrix) in self.weights or id(matrix._base) in self.weights

    def numbered(self, name: str, what: str) -> str:
        """The name of a place, or of the second call of its kind there."""
        self.calls[f"{name} {what}"] += 1
        count, name = self.calls[f"{name} {what}"], name or "model"
        return name if count == 1 else f"{name}#{count}"

    def attention(self) -> str:
        """The module that attends, though its softmax may be a module of its own."""
        outer = [name for name, module in self.inside if not isinstance(module, nn.Softmax)]
        return outer[-1] if outer else ""

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
            elif is_leaf and name:  # nn.LSTM puts out a pair, its states last
                self.tell(name, None, output[0] if isinstance(output, tuple) and output else output)

        return hook
