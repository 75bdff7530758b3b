"""Partitions: which weights share one second moment in Adam-mini and under the subset norm.

Adam-mini, Zhang et al. 2024, arXiv:2406.16793, and its released code, version 1.1.1:

    query, key                        a block per head
    value, attention output, MLP      a block per output row
    embedding, position, head         a block per row: token or position
    scales of norms, all else         a block per tensor
    biases                            in full

Subset norm, Nguyen & Nguyen 2025, arXiv:2411.07120, and its released code:

    matrices       one number for each index of the longer axis (`heuristics` in the code)
    all others     runs of √n/2 consecutive weights, or of the next smaller divisor of n
                   (`subset_size=-2`, the default of `AdamWSN`); in full where that is one
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from dyntools.forms import FULL, Form, in_blocks, mean_over

PER_ROW = (
    *("value", "attention output", "mlp up", "mlp gate", "mlp down", "mlp"),
    *("embedding", "position", "head"),
)
# The names by which configurations call the number of heads: transformers, GPT-2, LLaMA, ViT.
HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
KEY_HEADS = ("num_key_value_heads", "n_kv_heads", "n_kv_head", "num_kv_heads")
# Of transformers' models those whose layers are `Conv1D`, which stores (in, out).
TRANSPOSED_MODELS = ("gpt2", "openai-gpt")
TRANSPOSED_LAYERS = ("c_attn", "q_attn", "c_proj", "c_fc")
# subset_size=-2 is √n/2. Its authors' other advice, half the width of the model, needs the model.
SUBSET_DIVISOR = 2


def adam_mini(
    name: str, shape: tuple[int, ...], kind: str, config: Mapping[str, object]
) -> Form | str:
    """Adam-mini's blocks of a tensor, or the sentence that says why they are not known.

    kind: as of `layer_kinds`. config: of the model, for the number of heads.
    """
    if "bias" in name.lower():  # by name, as the released code
        return FULL
    if kind == "qkv" and len(shape) > 1:
        return "Adam-mini: query, key and value are one tensor, whose blocks are not known"
    if kind in ("query", "key") and len(shape) == 2:
        return _heads(name, shape, kind, config)
    if kind in PER_ROW and len(shape) == 2:
        return mean_over(0 if transposed(name, config) else 1)
    return in_blocks(1)


def subset_norm(shape: tuple[int, ...]) -> Form:
    """The subsets of a tensor."""
    if len(shape) == 2:
        return mean_over(1 if shape[0] >= shape[1] else 0)
    count = math.prod(shape)
    each = math.isqrt(count) // SUBSET_DIVISOR
    while each > 1 and count % each:
        each -= 1
    return in_blocks(count // each) if each > 1 else FULL


def transposed(name: str, config: Mapping[str, object]) -> bool:
    """Whether the weight is stored as (in, out)."""
    layer = name.removesuffix(".weight").rpartition(".")[2]
    return config.get("model_type") in TRANSPOSED_MODELS and layer in TRANSPOSED_LAYERS


def _heads(
    name: str, shape: tuple[int, ...], kind: str, config: Mapping[str, object]
) -> Form | str:
    keys = (*KEY_HEADS, *HEADS) if kind == "key" else HEADS
    heads = next((n for n in map(config.get, keys) if isinstance(n, int) and n > 0), None)
    if heads is None:
        return "Adam-mini: a block per head, but the number of heads is not known"
    if transposed(name, config):
        return "Adam-mini: stored as (in, out), a head is no run of consecutive weights"
    if shape[0] % heads:
        return f"Adam-mini: {shape[0]} rows are not a multiple of {heads} heads"
    return in_blocks(heads)
