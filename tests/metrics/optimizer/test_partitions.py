"""Partitions: the blocks of Adam-mini's and the subset norm's released code, by hand."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from dyntools.forms import FULL, Form, in_blocks, mean_over
from dyntools.metrics.optimizer.partitions import adam_mini, subset_norm, transposed

LLAMA = {"model_type": "llama", "num_attention_heads": 8, "num_key_value_heads": 2}
GPT2 = {"model_type": "gpt2", "n_head": 4}


@pytest.mark.parametrize(
    ("name", "shape", "kind", "expected"),
    [
        ("q_proj.weight", (64, 64), "query", in_blocks(8)),
        ("k_proj.weight", (16, 64), "key", in_blocks(2)),
        ("v_proj.weight", (16, 64), "value", mean_over(1)),
        ("o_proj.weight", (64, 64), "attention output", mean_over(1)),
        ("gate_proj.weight", (256, 64), "mlp gate", mean_over(1)),
        ("up_proj.weight", (256, 64), "mlp up", mean_over(1)),
        ("down_proj.weight", (64, 256), "mlp down", mean_over(1)),
        ("embed_tokens.weight", (1000, 64), "embedding", mean_over(1)),
        ("lm_head.weight", (1000, 64), "head", mean_over(1)),
        ("norm.weight", (64,), "norm", in_blocks(1)),
        ("norm.bias", (64,), "norm", FULL),
        ("q_proj.bias", (64,), "bias", FULL),
        ("conv.weight", (8, 3, 3, 3), "conv", in_blocks(1)),
        ("0.weight", (10, 64), "other", in_blocks(1)),
    ],
)
def test_blocks_of_adam_mini(name: str, shape: tuple[int, ...], kind: str, expected: Form) -> None:
    assert adam_mini(name, shape, kind, LLAMA) == expected


@pytest.mark.parametrize(
    ("config", "heads"),
    [
        ({"num_attention_heads": 8}, 8),
        ({"n_head": 4}, 4),
        ({"n_heads": 2, "n_kv_heads": 1}, 2),
        ({"num_key_value_heads": None, "num_heads": 16}, 16),
    ],
)
def test_the_names_of_the_number_of_heads(config: Mapping[str, object], heads: int) -> None:
    assert adam_mini("q.weight", (32, 32), "query", config) == in_blocks(heads)
    keys = config.get("n_kv_heads", heads)
    assert adam_mini("k.weight", (32, 32), "key", config) == in_blocks(int(str(keys)))


@pytest.mark.parametrize(
    ("name", "kind", "config", "reason"),
    [
        ("q_proj.weight", "query", {}, "number of heads is not known"),
        ("q_proj.weight", "query", {"n_head": 5}, "32 rows are not a multiple of 5"),
        ("q_attn.weight", "query", GPT2, "stored as (in, out)"),
        ("c_attn.weight", "qkv", GPT2, "query, key and value are one tensor"),
    ],
)
def test_blocks_that_are_not_known(
    name: str, kind: str, config: Mapping[str, object], reason: str
) -> None:
    found = adam_mini(name, (32, 32), kind, config)
    assert isinstance(found, str)
    assert reason in found


def test_output_rows_of_gpt2_are_columns() -> None:
    """`Conv1D` stores (in, out); embeddings and the head are as everywhere."""
    assert adam_mini("h.0.mlp.c_fc.weight", (32, 128), "mlp up", GPT2) == mean_over(0)
    assert adam_mini("wte.weight", (60, 32), "embedding", GPT2) == mean_over(1)
    # nanoGPT has the same names and torch's layout.
    assert not transposed("h.0.mlp.c_fc.weight", {"n_head": 4, "block_size": 16})


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((64, 32), mean_over(1)),
        ((32, 64), mean_over(0)),
        ((32, 32), mean_over(1)),  # `shape[0] >= shape[1]` in the released code
        ((400,), in_blocks(40)),  # √400/2 = 10
        ((64,), in_blocks(16)),  # √64/2 = 4
        ((90,), in_blocks(90 // 3)),  # √90/2 is 4, which does not divide 90
        ((97,), FULL),  # prime
        ((4,), FULL),
        ((8, 4, 3, 3), in_blocks(288 // 8)),
    ],
)
def test_subsets(shape: tuple[int, ...], expected: Form) -> None:
    assert subset_norm(shape) == expected
