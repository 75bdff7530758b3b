"""Embedding anisotropy: against all pairs, and of tables whose geometry is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dyntools.measurement import Status
from dyntools.metrics.weights.embedding_anisotropy import anisotropy, is_token_embedding, measure
from tests.matrices import gaussian, snapshot


def test_equal_to_the_mean_over_all_pairs() -> None:
    table = gaussian((50, 8), 0) + 0.7
    unit = table.double() / table.double().norm(dim=1, keepdim=True)
    cosines = unit @ unit.T
    pairs = cosines[~torch.eye(50, dtype=torch.bool)]
    cosine, share, rows = anisotropy(table)
    assert cosine == pytest.approx(float(pairs.mean()), rel=1e-12)
    mean = table.double().mean(0)
    true = float(mean @ mean / table.double().square().sum(1).mean())
    assert share == pytest.approx(true, rel=1e-12)
    assert rows == 50


def test_independent_parallel_and_opposite_rows() -> None:
    assert anisotropy(gaussian((5000, 64), 0))[0] == pytest.approx(0.0, abs=1e-3)
    parallel = torch.arange(1.0, 101.0)[:, None] * gaussian((1, 16), 1)
    assert anisotropy(parallel)[0] == pytest.approx(1.0)
    assert anisotropy(torch.tensor([[1.0, 1.0], [-1.0, -1.0]]))[0] == pytest.approx(-1.0)


def test_a_common_mean_in_closed_form() -> None:
    """Noise of variance 1 around a mean of r in every dimension squared: both are r/(1 + r)."""
    size, ratio = 512, 0.5
    table = gaussian((3000, size), 0) + math.sqrt(ratio)
    cosine, share, _ = anisotropy(table)
    assert cosine == pytest.approx(ratio / (1 + ratio), rel=0.01)
    assert share == pytest.approx(ratio / (1 + ratio), rel=0.01)


def test_zero_rows_are_left_out() -> None:
    table = gaussian((40, 8), 0)
    padded = torch.cat([torch.zeros(10, 8), table])
    assert anisotropy(padded)[0] == anisotropy(table)[0]
    assert anisotropy(padded)[2] == 40


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("transformer.wte.weight", (50257, 768), True),
        ("model.embed_tokens.weight", (32000, 512), True),
        ("gpt_neox.embed_in.weight", (50304, 512), True),
        ("bert.embeddings.word_embeddings.weight", (30522, 768), True),
        ("lm_head.weight", (32000, 512), True),
        ("transformer.wpe.weight", (1024, 768), False),
        ("bert.embeddings.position_embeddings.weight", (1024, 768), False),
        ("embed.weight", (10, 768), False),
        ("embeddings.LayerNorm.bias", (768,), False),
        ("mlp.up.weight", (3072, 768), False),
    ],
)
def test_the_rule_for_token_embeddings(name: str, shape: tuple[int, ...], expected: bool) -> None:
    assert is_token_embedding(name, shape) is expected


def test_zero_and_nan_fail_and_the_rest_is_left_out() -> None:
    params = {
        "wte.weight": torch.zeros(5, 3),
        "embed.weight": torch.full((5, 3), math.nan),
        "fc.weight": gaussian((5, 3), 0),
    }
    found = measure(snapshot(params))
    assert found.coords["layer"] == ("wte.weight", "embed.weight")
    assert found.status.tolist() == [Status.failed, Status.failed]
    assert np.isnan(found.values).all()
    assert set(found.skipped) == set(params)
