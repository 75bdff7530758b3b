"""How a parameter becomes matrices: conventions that are silent elsewhere."""

from __future__ import annotations

import pytest
import torch

from dyntools.matrix import matrices_of

GPT2 = {"model_type": "gpt2"}
NANOGPT = {"n_layer": 2, "n_head": 2, "n_embd": 8, "block_size": 16}
NEOX = {"model_type": "gpt_neox", "num_attention_heads": 2}


@pytest.mark.parametrize("shape", [(), (7,), (7, 1), (1, 7), (0, 4), (4, 0)])
def test_what_has_no_spectrum_has_a_sentence(shape: tuple[int, ...]) -> None:
    reason = matrices_of("x", shape, {})
    assert isinstance(reason, str)
    assert reason


def test_a_linear_weight_is_taken_as_stored() -> None:
    (matrix,) = matrices_of("fc.weight", (6, 4), {})
    tensor = torch.randn(6, 4)
    assert matrix.name == "fc.weight"
    assert matrix.shape == (6, 4)
    assert matrix.take(tensor) is tensor


def test_a_convolution_is_the_map_from_a_patch_to_its_outputs() -> None:
    kernel = torch.randn(8, 3, 5, 5)
    (matrix,) = matrices_of("conv.weight", tuple(kernel.shape), {})
    unfolded = matrix.take(kernel)
    assert unfolded.shape == matrix.shape == (8, 75)
    patch = torch.randn(3, 5, 5)
    convolved = torch.nn.functional.conv2d(patch[None], kernel).flatten()
    torch.testing.assert_close(unfolded @ patch.flatten(), convolved)


@pytest.mark.parametrize(
    ("name", "config", "stored"),
    [
        ("h.0.attn.c_attn.weight", GPT2, lambda q, k, v: torch.cat([q, k, v], dim=1)),
        ("h.0.attn.c_attn.weight", NANOGPT, lambda q, k, v: torch.cat([q, k, v], dim=0)),
        (
            "layers.0.attention.query_key_value.weight",
            NEOX,
            # (heads, 3, head_dim, in): the last third of the rows is not the value projection.
            lambda q, k, v: torch.stack([x.unflatten(0, (2, 4)) for x in (q, k, v)], 1).flatten(
                0, 2
            ),
        ),
    ],
    ids=["gpt2", "nanogpt", "gpt_neox"],
)
def test_fused_attention_is_cut_where_the_layout_is_known(name, config, stored) -> None:  # type: ignore[no-untyped-def]
    parts = [torch.randn(8, 8) for _ in range(3)]
    fused = stored(*parts)
    found = matrices_of(name, tuple(fused.shape), config)
    assert not isinstance(found, str)
    assert [matrix.name for matrix in found] == [f"{name}[{w}]" for w in ("query", "key", "value")]
    for matrix, part in zip(found, parts, strict=True):
        assert matrix.shape == (8, 8)
        assert torch.equal(matrix.take(fused), part)


@pytest.mark.parametrize("config", [{}, {"model_type": "bert"}])
def test_fused_attention_of_an_unknown_model_stays_whole(config: dict[str, object]) -> None:
    name = "h.0.attn.c_attn.weight"
    found = matrices_of(name, (8, 24), config)
    assert [matrix.name for matrix in found] == [name]  # type: ignore[union-attr]
