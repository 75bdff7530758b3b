"""Memory words: forms of the second moment, and bytes, as a person says them.

An axis is called fan-in or fan-out only where that is known. A linear layer of torch stores its
weight (out, in), Conv1D of Hugging Face's GPT-2 (in, out), and a square matrix does not tell which.
The matrices of a network that are not square do: the up projection of an MLP is wider than what it
reads, the down projection narrower, a fused query, key and value likewise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from dyntools.adam_memory import Candidate, Tensor
from dyntools.forms import Form

Layout = Literal["out, in", "in, out", ""]
IN, OUT = "fan-in", "fan-out"
WIDENING = ("mlp up", "mlp gate", "qkv")
INSIDE = ("query", "key", "value", "qkv", "attention output", "mlp up", "mlp gate", "mlp down")
# What the axes of a weight are whatever the library: lookups by row, and layers that are never
# Conv1D.
OF_KIND: Mapping[str, tuple[str, str]] = {
    "embedding": ("the vocabulary", "the features"),
    "position": ("the positions", "the features"),
    "head": (OUT, IN),
    "classifier": (OUT, IN),
}
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")


def layout_of(tensors: Iterable[Tensor]) -> Layout:
    """How the linear layers inside the blocks are stored; "" where nothing tells, or both ways."""
    seen: set[Layout] = set()
    for tensor in tensors:
        if len(tensor.shape) != 2 or tensor.shape[0] == tensor.shape[1]:
            continue
        if tensor.kind in WIDENING or tensor.kind == "mlp down":
            grows = tensor.shape[1] > tensor.shape[0]  # along the row: read as (in, out)
            seen.add("in, out" if grows == (tensor.kind in WIDENING) else "out, in")
    return seen.pop() if len(seen) == 1 else ""


def in_words(form: Form, tensor: Tensor, layout: Layout, label: str = "") -> str:
    """`mean over axis 1 (fan-in)`, `one value for the tensor`, `8-bit codes`, `in full`.

    label: of the candidate, by which the two methods that cut into blocks are told apart.
    """
    if form.kind == "axes":
        return _mean_over(form.axes, tensor, layout)
    if form.kind == "blocks":
        of = {"adam-mini": "Adam-mini, ", "subset-norm": "subset norm, "}.get(label, "")
        return f"{of}{form.blocks} blocks" if form.blocks > 1 else f"{of}one value"
    known = {"full": "in full", "factored": "rows × columns (Adafactor)", "8-bit": "8-bit codes"}
    return known[form.kind]


def words_of(candidate: Candidate | None, form: Form, tensor: Tensor, layout: Layout) -> str:
    """The words for a choice."""
    return in_words(form, tensor, layout, "" if candidate is None else candidate.label)


def _mean_over(axes: tuple[int, ...], tensor: Tensor, layout: Layout) -> str:
    longer = {axis for axis, length in enumerate(tensor.shape) if length > 1}
    if longer <= set(axes):
        return "one value for the tensor"
    noun = "axis" if len(axes) == 1 else "axes"
    called = _called(axes, tensor, layout)
    return f"mean over {noun} {','.join(map(str, axes))}" + (f" ({called})" if called else "")


def _called(axes: tuple[int, ...], tensor: Tensor, layout: Layout) -> str:
    if len(tensor.shape) > 2:
        return _of_kernel(axes, len(tensor.shape)) if tensor.kind in ("conv", "first") else ""
    if len(tensor.shape) < 2 or len(axes) != 1:
        return ""
    if tensor.kind in OF_KIND:
        return OF_KIND[tensor.kind][axes[0]]
    if tensor.kind not in INSIDE or not layout:
        return ""
    return {"out, in": (OUT, IN), "in, out": (IN, OUT)}[layout][axes[0]]


def _of_kernel(axes: tuple[int, ...], dims: int) -> str:
    """(out, in, …space…), as every convolution of torch stores it, transposed ones apart."""
    space = tuple(range(2, dims))
    names = {(0,): "output channels", (1,): "input channels", space: "the kernel"}
    return names.get(axes, IN if axes == (1, *space) else "")


def amount(size: float) -> str:
    """Bytes with a unit and three digits: 512 B, 1.21 MiB; a negative amount keeps its sign."""
    power, rest = 0, float(abs(size))
    while rest >= 999.5 and power < len(_BYTES) - 1:
        rest, power = rest / 1024, power + 1
    digits = (
        f"{rest:.0f}" if power == 0 or rest >= 99.95 else f"{rest:.{1 if rest >= 9.995 else 2}f}"
    )
    return f"{'-' if size < 0 else ''}{digits} {_BYTES[power]}"


def percent(share: float, digits: int = 1) -> str:
    """99.4 %, and 100 % only of all."""
    text = f"{100 * share:.{digits}f}"
    if share < 1 and float(text) == 100:
        text = f"> {100 - 10**-digits:.{digits}f}"
    return f"{text} %"
