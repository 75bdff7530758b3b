from __future__ import annotations

import pytest

from dyntools.layer_kinds import kind_of

MATRIX, VECTOR, KERNEL = (8, 8), (8,), (8, 4, 3, 3)


@pytest.mark.parametrize(
    ("name", "shape", "kind"),
    [
        # nanoGPT and GPT-2
        ("transformer.wte.weight", MATRIX, "embedding"),
        ("transformer.wpe.weight", MATRIX, "position"),
        ("transformer.h.0.ln_1.weight", VECTOR, "norm"),
        ("transformer.h.0.attn.c_attn.weight", MATRIX, "attention qkv"),
        ("transformer.h.0.attn.c_proj.weight", MATRIX, "attention vo"),
        ("transformer.h.0.mlp.c_fc.weight", MATRIX, "mlp"),
        ("transformer.h.0.mlp.c_proj.weight", MATRIX, "mlp"),
        ("transformer.h.0.mlp.c_proj.bias", VECTOR, "bias"),
        ("transformer.ln_f.weight", VECTOR, "norm"),
        ("lm_head.weight", MATRIX, "head"),
        # Llama
        ("model.embed_tokens.weight", MATRIX, "embedding"),
        ("model.layers.0.self_attn.q_proj.weight", MATRIX, "attention qk"),
        ("model.layers.0.self_attn.k_proj.weight", MATRIX, "attention qk"),
        ("model.layers.0.self_attn.v_proj.weight", MATRIX, "attention vo"),
        ("model.layers.0.self_attn.o_proj.weight", MATRIX, "attention vo"),
        ("model.layers.0.mlp.gate_proj.weight", MATRIX, "mlp"),
        ("model.layers.0.input_layernorm.weight", VECTOR, "norm"),
        ("model.norm.weight", VECTOR, "norm"),
        # GPT-NeoX and BERT
        ("gpt_neox.embed_in.weight", MATRIX, "embedding"),
        ("gpt_neox.layers.0.attention.query_key_value.weight", MATRIX, "attention qkv"),
        ("gpt_neox.layers.0.attention.dense.weight", MATRIX, "attention vo"),
        ("gpt_neox.layers.0.mlp.dense_h_to_4h.weight", MATRIX, "mlp"),
        ("embed_out.weight", MATRIX, "head"),
        ("bert.embeddings.word_embeddings.weight", MATRIX, "embedding"),
        ("bert.embeddings.position_embeddings.weight", MATRIX, "position"),
        ("bert.embeddings.LayerNorm.weight", VECTOR, "norm"),
        ("bert.encoder.layer.0.attention.self.query.weight", MATRIX, "attention qk"),
        ("bert.encoder.layer.0.attention.self.value.weight", MATRIX, "attention vo"),
        ("bert.encoder.layer.0.attention.output.dense.weight", MATRIX, "attention vo"),
        ("bert.encoder.layer.0.attention.output.LayerNorm.weight", VECTOR, "norm"),
        ("bert.encoder.layer.0.intermediate.dense.weight", MATRIX, "mlp"),
        ("bert.encoder.layer.0.output.dense.weight", MATRIX, "mlp"),
        # torch, timm, torchvision
        ("self_attn.in_proj_weight", MATRIX, "attention qkv"),
        ("layers.0.self_attn.out_proj.weight", MATRIX, "attention vo"),
        ("layers.0.linear1.weight", MATRIX, "mlp"),
        ("blocks.0.attn.qkv.weight", MATRIX, "attention qkv"),
        ("blocks.0.attn.proj.weight", MATRIX, "attention vo"),
        ("blocks.0.mlp.fc2.weight", MATRIX, "mlp"),
        ("pos_embed", (1, 5, 8), "position"),
        ("head.weight", MATRIX, "head"),
        ("layer1.0.conv1.weight", KERNEL, "conv"),
        ("layer1.0.bn1.weight", VECTOR, "norm"),
        ("fc.weight", MATRIX, "head"),
        # what tells nothing
        ("0.weight", MATRIX, "other"),
        ("0.bias", VECTOR, "bias"),
        ("x", VECTOR, "bias"),
    ],
)
def test_names_of_common_families(name: str, shape: tuple[int, ...], kind: str) -> None:
    assert kind_of(name, shape) == kind
