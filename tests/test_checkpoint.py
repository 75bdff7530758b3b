"""What is a parameter and what a buffer, by name and dtype; and that the types cost no torch."""

import subprocess
import sys

import pytest

from dyntools.checkpoint import is_buffer

BUFFERS = [
    "bn.running_mean",
    "running_var",
    "bn.num_batches_tracked",
    "transformer.h.0.attn.bias",
    "h.3.attn.masked_bias",
    "model.layers.0.self_attn.rotary_emb.inv_freq",
    "layers.0.weight_u",
    "net.parametrizations.weight.0._u",
    "block.attn_mask",
]
PARAMETERS = [
    "transformer.h.0.attn.c_attn.bias",
    "attn.bias.weight",
    "bn.weight",
    "attention.bias",
    "running_mean_predictor.weight",
    "net.parametrizations.weight.original",
]


@pytest.mark.parametrize("name", BUFFERS)
def test_buffers(name):
    assert is_buffer(name, "float32")


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name):
    assert not is_buffer(name, "float32")


def test_integers_and_booleans_are_never_trained():
    assert is_buffer("weight", "int64")
    assert is_buffer("weight", "bool")
    assert not is_buffer("weight", "bfloat16")
    assert not is_buffer("weight", "complex64")
    assert not is_buffer("weight", "float8_e4m3fn")


def test_listing_a_run_needs_no_torch(tmp_path):
    code = "import sys, dyntools.checkpoints; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
