"""Attending: which calls of a forward pass are attentions.

    fused      F.scaled_dot_product_attention, and F.multi_head_attention_forward, whose inside is
               one call and whose q and k are therefore computed anew from its arguments
    written    a product of two activations with three axes or more that goes through nothing but
               scaling, masks and casts into a softmax over its last axis

`nn.MultiheadAttention` and the layers of `nn.Transformer` leave their fast path while calls are
watched, by their own rule. Routers of experts and classifiers multiply with a weight, and so are
none of these.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dyntools.activations.scores import Scores

PAIRS = frozenset(
    {
        *(torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm),
        *(torch.baddbmm, Tensor.baddbmm, torch.einsum),
    }
)
SOFTMAXES = frozenset({F.softmax, torch.softmax, Tensor.softmax, torch.special.softmax})
# By name, as functions, methods and operators differ in identity: what leaves scores scores.
THROUGH = frozenset(
    {
        *("mul", "mul_", "__mul__", "__rmul__", "multiply", "div", "div_", "true_divide"),
        *("__truediv__", "add", "add_", "__add__", "__radd__", "sub", "sub_", "__sub__"),
        *("masked_fill", "masked_fill_", "where", "maximum", "max", "clamp", "clamp_", "tanh"),
        *("float", "double", "half", "bfloat16", "to", "type", "type_as", "contiguous", "clone"),
        *("view", "reshape", "unflatten", "flatten", "detach", "softcap", "clip"),
    }
)
SHIFTS = frozenset({"sub", "sub_", "__sub__"})  # by a number a row they take the largest away
EXTRA_KEYS = "it appends a key of its own (add_bias_kv, add_zero_attn), which is not followed"


class Attending:
    """What is known of the calls so far. is_weight: whether a tensor belongs to the model."""

    def __init__(self, is_weight: Callable[[object], bool]) -> None:
        self.is_weight = is_weight
        self.products: list[weakref.ref[Tensor]] = []

    def after(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], output: Any
    ) -> Callable[[str], Scores] | None:
        """What a call that has returned attended with, given the name of its place."""
        if func is F.scaled_dot_product_attention:
            return lambda name: _of_fused(name, *args, **kwargs)
        if func is F.multi_head_attention_forward:
            return lambda name: _of_multi_head(name, *args, **kwargs)
        if func in PAIRS:
            self._pair(args, kwargs, output)
        elif self.products:
            if func in SOFTMAXES:
                return self._softmax(args, kwargs)
            if getattr(func, "__name__", "") in THROUGH:
                self._through(func.__name__, args, kwargs, output)
        return None

    def _pair(self, args: Sequence[Any], kwargs: Mapping[str, Any], output: Any) -> None:
        given = [*args, *kwargs.values()]
        given = [x for a in given for x in (a if isinstance(a, list | tuple) else [a])]
        both = [x for x in given if isinstance(x, Tensor)][-2:]
        if len(both) < 2 or not isinstance(output, Tensor) or output.ndim < 3:
            return
        if all(x.ndim >= 3 and x.is_floating_point() and not self.is_weight(x) for x in both):
            self.products = [ref for ref in self.products if ref() is not None]
            self.products.append(weakref.ref(output))

    def _is_known(self, x: object) -> bool:
        return isinstance(x, Tensor) and any(ref() is x for ref in self.products)

    def _through(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], output: Any
    ) -> None:
        given = [*args, *kwargs.values()]
        source = next((x for x in given if self._is_known(x)), None)
        if source is None or not isinstance(output, Tensor):
            return
        other = [x for x in given[1:] if isinstance(x, Tensor) and x is not source]
        if name in SHIFTS and any(x.ndim and x.shape[-1] == 1 for x in other):
            self.products = [ref for ref in self.products if ref() is not output]
        elif output is not source and output.shape[-2:] == source.shape[-2:]:
            self.products.append(weakref.ref(output))

    def _softmax(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Callable[[str], Scores] | None:
        z = args[0] if args else kwargs.get("input")
        dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
        if not isinstance(z, Tensor) or not self._is_known(z) or dim not in (-1, z.ndim - 1):
            return None
        return lambda name: Scores(name, z=z)


def _of_fused(
    name: str,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Scores:
    if query.is_nested or key.is_nested:
        return Scores(name, refused="its tensors are nested")
    if enable_gqa and key.shape[-3] != query.shape[-3]:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
    batch = np.broadcast_shapes(query.shape[:-2], key.shape[:-2])
    return Scores(
        name,
        q=query.expand(*batch, *query.shape[-2:]),
        k=key.expand(*batch, *key.shape[-2:]),
        scale=1.0 / math.sqrt(query.shape[-1]) if scale is None else float(scale),
        masks=() if attn_mask is None else (attn_mask,),
        causal=bool(is_causal),
    )


def _of_multi_head(name: str, *args: Any, **kwargs: Any) -> Scores:
    """Here a boolean mask is True where a place is forbidden."""
    given = signature(F.multi_head_attention_forward).bind(*args, **kwargs).arguments
    if given.get("add_zero_attn") or given.get("bias_k") is not None:
        return Scores(name, refused=EXTRA_KEYS)
    if given.get("static_k") is not None:
        return Scores(name, refused="its keys are given from outside (static_k)")
    query, key, heads = given["query"], given["key"], given["num_heads"]
    if query.is_nested:
        return Scores(name, refused="its tensors are nested")
    if query.ndim == 2:
        query, key = query[:, None], key[:, None]
    width = query.shape[-1]
    if given.get("use_separate_proj_weight"):
        weights = given["q_proj_weight"], given["k_proj_weight"]
    else:
        weights = given["in_proj_weight"][:width], given["in_proj_weight"][width : 2 * width]
    bias = given.get("in_proj_bias")
    biases = (None, None) if bias is None else (bias[:width], bias[width : 2 * width])
    q, k = (  # (N, H, T, E/H)
        F.linear(x, w, b).reshape(*x.shape[:2], heads, -1).permute(1, 2, 0, 3)
        for x, w, b in zip((query, key), weights, biases, strict=True)
    )
    masks = []
    for mask, is_padding in (
        (given.get("attn_mask"), False),
        (given.get("key_padding_mask"), True),
    ):
        if mask is None:
            continue
        mask = ~mask if mask.dtype == torch.bool else mask
        if is_padding:
            mask = mask.reshape(len(q), 1, 1, -1)
        elif mask.ndim == 3:
            mask = mask.reshape(len(q), -1, *mask.shape[1:]) if len(mask) > 1 else mask
        masks.append(mask)
    return Scores(name, q=q, k=k, scale=1.0 / math.sqrt(q.shape[-1]), masks=masks)
