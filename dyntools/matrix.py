"""Matrix: how a parameter tensor is read as one matrix, or as several.

A spectrum belongs to a matrix, and most conventions about which matrix are silent. Here they are
written down: a linear weight is taken as stored; a convolution kernel (out, in, kh, kw) is unfolded
to (out, in·kh·kw), the map from a patch to its output channels; a fused query-key-value weight is
cut into its three parts only where the layout is known from the model's own configuration.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

AS_STORED = "as stored"
UNFOLDED = "unfolded to (out, in·kernel)"


@dataclass(frozen=True)
class Matrix:
    """One matrix cut from one parameter.

    shape: (rows, columns) of what `take` returns, a view where possible.
    layout: the convention in words.
    """

    name: str
    parameter: str
    shape: tuple[int, int]
    layout: str
    take: Callable[[Tensor], Tensor]


def matrices_of(
    parameter: str, shape: tuple[int, ...], config: Mapping[str, object]
) -> tuple[Matrix, ...] | str:
    """The matrices of a parameter, or the sentence that says why it has none."""
    if len(shape) < 2:
        return f"{len(shape)}-d tensor of {math.prod(shape)} values: a spectrum needs a matrix"
    if min(shape) == 0:
        return f"empty tensor of shape {shape}"
    rows, columns = shape[0], math.prod(shape[1:])
    if min(rows, columns) == 1:
        return f"shape {shape} is a vector: its only singular value is its norm"
    if len(shape) > 2:
        return (Matrix(parameter, parameter, (rows, columns), UNFOLDED, _unfold),)
    fused = _fused_qkv(parameter, (rows, columns), config)
    return fused or (Matrix(parameter, parameter, (rows, columns), AS_STORED, _as_stored),)


def _as_stored(tensor: Tensor) -> Tensor:
    return tensor


def _unfold(tensor: Tensor) -> Tensor:
    return tensor.flatten(1)


def _fused_qkv(
    parameter: str, shape: tuple[int, int], config: Mapping[str, object]
) -> tuple[Matrix, ...]:
    """Query, key and value of a fused projection; empty where the layout is not known."""
    model_type = str(config.get("model_type", ""))
    module = parameter.removesuffix(".weight").rsplit(".", 1)[-1]
    rows, columns = shape
    if module == "c_attn" and model_type == "gpt2" and columns == 3 * rows:
        # Conv1D stores (in, out): the three projections lie side by side along the columns.
        def part(i: int) -> Callable[[Tensor], Tensor]:
            return lambda tensor: tensor[:, i * rows : (i + 1) * rows]

        return _three(parameter, (rows, rows), part, "third of the columns (GPT-2 Conv1D)")
    if module == "c_attn" and _is_nanogpt(config) and rows == 3 * columns:

        def block(i: int) -> Callable[[Tensor], Tensor]:
            return lambda tensor: tensor[i * columns : (i + 1) * columns]

        return _three(parameter, (columns, columns), block, "third of the rows (nanoGPT)")
    heads = config.get("num_attention_heads")
    if (
        module == "query_key_value"
        and model_type == "gpt_neox"
        and isinstance(heads, int)
        and heads > 0
        and rows == 3 * columns
        and columns % heads == 0
    ):
        # Interleaved per head: (heads, 3, head_dim, in); the last third of the rows is not V.
        def head(i: int) -> Callable[[Tensor], Tensor]:
            return lambda tensor: tensor.reshape(heads, 3, -1, columns)[:, i].reshape(
                columns, columns
            )

        return _three(parameter, (columns, columns), head, "of each head (GPT-NeoX interleaving)")
    return ()


def _is_nanogpt(config: Mapping[str, object]) -> bool:
    return {"n_layer", "n_head", "n_embd", "block_size"} <= set(config)


def _three(
    parameter: str,
    shape: tuple[int, int],
    part: Callable[[int], Callable[[Tensor], Tensor]],
    where: str,
) -> tuple[Matrix, ...]:
    names = ("query", "key", "value")
    return tuple(
        Matrix(f"{parameter}[{name}]", parameter, shape, f"{name}: {where}", part(i))
        for i, name in enumerate(names)
    )
