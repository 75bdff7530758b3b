"""The names of common families, a person's own lines before them, and the blocks made of kinds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dyntools import hdf5
from dyntools.analysis import analyze
from dyntools.errors import UsageError
from dyntools.layer_kinds import BLOCKS, KINDS, NAMES, Kinds, block_of, kind_of, kinds_from
from dyntools.opening import open_run
from dyntools.plan import make_plan
from dyntools.provenance import identity
from dyntools.report import Report
from dyntools.run import snapshots
from dyntools.snapshot import CPU
from tests.small_run import write_small_run as write

MATRIX, VECTOR, KERNEL = (8, 8), (8,), (8, 4, 3, 3)

FAMILIES = {
    "GPT-2 and nanoGPT": {
        "transformer.wte.weight": "embedding",
        "transformer.wpe.weight": "position",
        "transformer.h.0.attn.c_attn.weight": "qkv",
        "transformer.h.0.attn.c_proj.weight": "attention output",
        "transformer.h.0.crossattention.q_attn.weight": "query",
        "transformer.h.0.mlp.c_fc.weight": "mlp up",
        "transformer.h.0.mlp.c_proj.weight": "mlp down",
        "lm_head.weight": "head",
    },
    "the SlimAdam authors' GPT": {
        "transformer.h.0.attn.q_proj.weight": "query",
        "transformer.h.0.attn.k_proj.weight": "key",
        "transformer.h.0.attn.v_proj.weight": "value",
        "transformer.h.0.attn.output_proj.weight": "attention output",
        "transformer.h.0.mlp.mlp_up.weight": "mlp up",
        "transformer.h.0.mlp.mlp_proj.weight": "mlp down",
    },
    "Llama, Mistral, Qwen, Gemma": {
        "model.embed_tokens.weight": "embedding",
        "model.layers.0.self_attn.q_proj.weight": "query",
        "model.layers.0.self_attn.k_proj.weight": "key",
        "model.layers.0.self_attn.v_proj.weight": "value",
        "model.layers.0.self_attn.o_proj.weight": "attention output",
        "model.layers.0.mlp.gate_proj.weight": "mlp gate",
        "model.layers.0.mlp.up_proj.weight": "mlp up",
        "model.layers.0.mlp.down_proj.weight": "mlp down",
        "model.layers.0.mlp.gate_up_proj.weight": "mlp",  # Phi-3
        "model.layers.0.self_attn.qkv_proj.weight": "qkv",
    },
    "torchtitan": {
        "tok_embeddings.weight": "embedding",
        "layers.0.attention.wq.weight": "query",
        "layers.0.attention.wk.weight": "key",
        "layers.0.attention.wv.weight": "value",
        "layers.0.attention.wo.weight": "attention output",
        "layers.0.feed_forward.w1.weight": "mlp gate",
        "layers.0.feed_forward.w2.weight": "mlp down",
        "layers.0.feed_forward.w3.weight": "mlp up",
        "output.weight": "head",
    },
    "GPT-NeoX": {
        "gpt_neox.embed_in.weight": "embedding",
        "gpt_neox.layers.0.attention.query_key_value.weight": "qkv",
        "gpt_neox.layers.0.attention.dense.weight": "attention output",
        "gpt_neox.layers.0.mlp.dense_h_to_4h.weight": "mlp up",
        "gpt_neox.layers.0.mlp.dense_4h_to_h.weight": "mlp down",
        "embed_out.weight": "head",
    },
    "BERT and RoBERTa": {
        "bert.embeddings.word_embeddings.weight": "embedding",
        "bert.embeddings.token_type_embeddings.weight": "embedding",
        "bert.embeddings.position_embeddings.weight": "position",
        "bert.encoder.layer.0.attention.self.query.weight": "query",
        "bert.encoder.layer.0.attention.self.key.weight": "key",
        "bert.encoder.layer.0.attention.self.value.weight": "value",
        "bert.encoder.layer.0.attention.output.dense.weight": "attention output",
        "bert.encoder.layer.0.intermediate.dense.weight": "mlp up",
        "bert.encoder.layer.0.output.dense.weight": "mlp down",
        "bert.pooler.dense.weight": "other",
        "electra.embeddings_project.weight": "other",
        "albert.encoder.embedding_hidden_mapping_in.weight": "other",
        "cls.predictions.decoder.weight": "head",
        "classifier.out_proj.weight": "classifier",
    },
    "T5": {
        "shared.weight": "embedding",
        "encoder.block.0.layer.0.SelfAttention.q.weight": "query",
        "encoder.block.0.layer.0.SelfAttention.k.weight": "key",
        "encoder.block.0.layer.0.SelfAttention.v.weight": "value",
        "encoder.block.0.layer.0.SelfAttention.o.weight": "attention output",
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": "position",
        "encoder.block.0.layer.1.DenseReluDense.wi.weight": "mlp up",
        "encoder.block.0.layer.1.DenseReluDense.wi_0.weight": "mlp gate",
        "encoder.block.0.layer.1.DenseReluDense.wi_1.weight": "mlp up",
        "encoder.block.0.layer.1.DenseReluDense.wo.weight": "mlp down",
    },
    "OPT, Falcon, Phi, MPT": {
        "model.decoder.embed_positions.weight": "position",
        "model.decoder.layers.0.self_attn.out_proj.weight": "attention output",
        "model.decoder.layers.0.fc1.weight": "mlp up",
        "model.decoder.layers.0.fc2.weight": "mlp down",
        "transformer.word_embeddings.weight": "embedding",
        "transformer.h.0.self_attention.query_key_value.weight": "qkv",
        "transformer.h.0.self_attention.dense.weight": "attention output",
        "model.layers.0.self_attn.dense.weight": "attention output",
        "model.layers.0.mlp.fc1.weight": "mlp up",
        "transformer.blocks.0.attn.Wqkv.weight": "qkv",
        "transformer.blocks.0.attn.out_proj.weight": "attention output",
        "transformer.blocks.0.ffn.up_proj.weight": "mlp up",
        "transformer.blocks.0.ffn.down_proj.weight": "mlp down",
    },
    "Whisper": {
        "model.encoder.conv1.weight": "first",
        "model.encoder.embed_positions.weight": "position",
        "model.decoder.layers.0.encoder_attn.q_proj.weight": "query",
        "model.decoder.layers.0.encoder_attn.out_proj.weight": "attention output",
        "model.decoder.layers.0.fc2.weight": "mlp down",
        "proj_out.weight": "head",
    },
    "torch.nn.Transformer": {
        "layers.0.self_attn.in_proj_weight": "qkv",
        "layers.0.self_attn.out_proj.weight": "attention output",
        "layers.0.multihead_attn.in_proj_weight": "qkv",
        "layers.0.linear1.weight": "mlp up",
        "layers.0.linear2.weight": "mlp down",
        "in_proj_weight": "qkv",
        "out_proj.weight": "attention output",
    },
    "vision transformers": {
        "blocks.0.attn.qkv.weight": "qkv",
        "blocks.0.attn.proj.weight": "attention output",
        "blocks.0.mlp.fc1.weight": "mlp up",
        "blocks.0.mlp.fc2.weight": "mlp down",
        "vit.encoder.layer.0.attention.attention.query.weight": "query",
        "encoder.layers.encoder_layer_0.self_attention.in_proj_weight": "qkv",
        "encoder.layers.encoder_layer_0.self_attention.out_proj.weight": "attention output",
        "encoder.layers.encoder_layer_0.mlp.0.weight": "mlp up",
        "encoder.layers.encoder_layer_0.mlp.3.weight": "mlp down",
        "heads.head.weight": "classifier",
        "classifier.weight": "classifier",
        "head.weight": "head",  # a language model's in minGPT: the name does not tell
    },
    "nothing that tells": {
        "0.weight": "other",
        "mlp.0.weight": "mlp",
        "mixer.in_proj.weight": "other",  # of Mamba: not query, key and value
        "norm1.linear.weight": "other",  # a modulation, not the norm
        "param[3] (16, 8)": "other",
    },
}
OTHER_SHAPES = [
    ("transformer.h.0.ln_1.weight", VECTOR, "norm"),
    ("transformer.h.0.ln_1.bias", VECTOR, "norm"),
    ("model.layers.0.input_layernorm.weight", VECTOR, "norm"),
    ("model.layers.0.self_attn.q_norm.weight", VECTOR, "norm"),
    ("model.norm.weight", VECTOR, "norm"),
    ("bert.encoder.layer.0.attention.output.LayerNorm.weight", VECTOR, "norm"),
    ("layer1.0.bn1.weight", VECTOR, "norm"),
    ("layer1.0.downsample.1.weight", VECTOR, "norm"),  # a scale: torch has no other vector `weight`
    ("transformer.h.0.mlp.c_proj.bias", VECTOR, "bias"),
    ("layers.0.self_attn.in_proj_bias", VECTOR, "bias"),
    ("0.bias", VECTOR, "bias"),
    ("x", VECTOR, "bias"),
    ("param[3] (16,)", VECTOR, "other"),
    ("pos_embed", (1, 5, 8), "position"),
    ("vit.embeddings.position_embeddings", (1, 5, 8), "position"),
    ("encoder.pos_embedding", (1, 5, 8), "position"),
    ("vision_model.embeddings.class_embedding", VECTOR, "embedding"),
    ("cls_token", (1, 1, 8), "other"),
    ("patch_embed.proj.weight", KERNEL, "first"),
    ("patch_embed.proj.bias", VECTOR, "bias"),
    ("vit.embeddings.patch_embeddings.projection.weight", KERNEL, "first"),
    ("conv_proj.weight", KERNEL, "first"),
    ("conv1.weight", KERNEL, "first"),
    ("layer1.0.conv1.weight", KERNEL, "conv"),
    ("features.0.0.weight", KERNEL, "first"),
    ("features.1.0.block.0.weight", KERNEL, "conv"),
    ("stem.0.weight", KERNEL, "first"),
    ("stem.1.weight", VECTOR, "norm"),
    ("stages.0.blocks.0.conv_dw.weight", KERNEL, "conv"),
    ("fc.weight", MATRIX, "classifier"),
    ("head.fc.weight", MATRIX, "classifier"),
    ("classifier.6.weight", MATRIX, "classifier"),
]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_names_of_a_family(family: str) -> None:
    assert {name: kind_of(name, MATRIX) for name in FAMILIES[family]} == FAMILIES[family]


@pytest.mark.parametrize(("name", "shape", "kind"), OTHER_SHAPES)
def test_shapes_tell_where_names_do_not(name: str, shape: tuple[int, ...], kind: str) -> None:
    assert kind_of(name, shape) == kind


def test_every_kind_of_the_table_can_be_named_and_has_a_block() -> None:
    assert {kind for kind, _ in KINDS} < set(NAMES)
    assert {block_of(kind) for kind in NAMES} == set(BLOCKS)
    assert [block_of(block) for block in BLOCKS] == list(BLOCKS)


def test_the_blocks_of_the_disparity_principle() -> None:
    """Wang et al. 2025: query and key together, value and output together, one MLP."""
    members = {block: {kind for kind in NAMES if block_of(kind) == block} for block in BLOCKS}
    assert members["attention qk"] == {"query", "key"}
    assert members["attention vo"] == {"value", "attention output"}
    assert members["mlp"] == {"mlp", "mlp up", "mlp gate", "mlp down"}
    assert members["attention qkv"] == {"qkv"}
    assert members["head"] == {"head", "classifier"}


def test_the_first_line_of_a_person_decides_and_the_table_comes_last() -> None:
    kinds = Kinds((("h.*.mix", "value"), ("h.*", "other"), ("param[3] (8, 8)", "head")))
    assert kinds.of("h.0.mix", MATRIX) == "value"
    assert kinds.of("h.0.ln_1.weight", VECTOR) == "other"
    assert kinds.of("param[3] (8, 8)", MATRIX) == "head"  # letter for letter: [3] is no glob
    assert kinds.of("wte.weight", MATRIX) == "embedding"
    assert kinds.block("h.0.mix", MATRIX) == "attention vo"


def test_kinds_reach_snapshots_and_survive_in_the_report(tmp_path: Path) -> None:
    folder = write(tmp_path / "run")
    kinds = Kinds((("0.weight", "query"), ("2.*", "head")))
    run, plain = open_run(folder, kinds=kinds), open_run(folder)
    assert all(one.kinds == kinds for one in snapshots(run))
    plan = make_plan(run, ["weight_norm"])
    steps = run.steps
    assert identity(run, plan, CPU, steps) != identity(plain, plan, CPU, steps)
    analyze(run, plan, tmp_path / "r.h5")
    stored = hdf5.read(tmp_path / "r.h5")
    assert json.loads(json.dumps(stored.attributes["kinds"])) == [list(x) for x in kinds.given]
    assert kinds_from(stored.attributes) == kinds
    assert kinds_from(Report(attributes={}).attributes) == Kinds()


def test_a_pattern_that_fits_no_tensor_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "run")
    with pytest.raises(UsageError, match="fits no tensor") as raised:
        open_run(folder, kinds=Kinds((("0.weight", "query"), ("0.wieght", "query"))))
    assert raised.value.found == "0.wieght"
    assert "0.weight" in str(raised.value.remedy)
