"""Bytes of other optimizers, against sums by hand for a small transformer."""

from __future__ import annotations

import math

import pytest

from dyntools.adam_memory import Candidate, Tensor, decide
from dyntools.adam_memory.optimizers import Priced, compare
from dyntools.forms import FACTORED, in_blocks, mean_over
from tests.adam_memory.hand_made import evidence, tensor

M, N, V = 16, 64, 100  # width, MLP, tokens
MODEL = (
    tensor("wte", (V, M), "embedding", axes_1=5.0),
    tensor("up", (N, M), "mlp up", axes_0=2.0),
    tensor("conv", (8, 4, 3, 3), "conv", axes_0=0.1),
    tensor("ln", (M,), "norm", axes_0=1.0),
)
SIZE = V * M + N * M + 8 * 36 + M
OTHERS = SIZE - N * M  # not a hidden matrix


def priced(*tensors: Tensor) -> dict[str, Priced]:
    return {one.name: one for one in compare(decide(evidence(*(tensors or MODEL))))}


@pytest.mark.parametrize(
    ("name", "floats"),
    [
        ("AdamW", 2 * SIZE),
        ("this plan", SIZE + V + M + 8 * 36 + M),
        ("Adam-mini", SIZE + V + N + 8 + 1),
        ("Adafactor with momentum", SIZE + V + M + N + M + 8 * 4 * (3 + 3) + M),
        ("Adafactor", V + M + N + M + 8 * 4 * (3 + 3) + M),
        ("SM3 with momentum", SIZE + V + M + N + M + 8 + 4 + 3 + 3 + M),
        ("NovoGrad", SIZE + 4),
        ("Lion", SIZE),
        ("Muon", M * N + 2 * OTHERS),
        ("GaLore", M * 4 + 2 * N * 4 + 2 * OTHERS),  # rank 16 / 4
        ("APOLLO", 2 * N * 4 + 2 + 2 * OTHERS),
        ("APOLLO-mini", 2 * N + 2 + 2 * OTHERS),
    ],
)
def test_state_in_bytes(name: str, floats: int) -> None:
    one = priced()[name]
    assert one.state == 4 * floats
    assert one.training == 8 * SIZE + 4 * floats
    assert one.saved == pytest.approx(1 - floats / (2 * SIZE))


def test_8_bit_keeps_small_tensors_in_full() -> None:
    large = tensor("w", (64, 64), axes_0=2.0)
    small = tensor("b", (64, 63), axes_0=2.0)
    assert priced(large)["8-bit Adam"].state == 2 * (4096 + 4 * 16)
    assert priced(small)["8-bit Adam"].state == 8 * 64 * 63


def test_a_query_with_heads_takes_the_measured_blocks() -> None:
    heads = Candidate(in_blocks(4), "adam-mini", update_error=0.3)
    query = Tensor("q", (16, 16), "query", (heads, Candidate(mean_over(0), "axes 0", 2.0)))
    one = priced(query)["Adam-mini"]
    assert one.state == 4 * (256 + 4)
    assert (one.basis, one.update_error) == ("measured", 0.3)


def test_only_what_was_measured_is_said_to_be() -> None:
    without = {name: one.basis for name, one in priced().items()}
    measured = {name for name, basis in without.items() if basis == "measured"}
    assert measured == {"AdamW", "this plan"}
    errors = {"up": 0.2, "wte": 0.4}
    with_factors = [
        Tensor(
            t.name,
            t.shape,
            t.kind,
            (*t.candidates, Candidate(FACTORED, "factored", update_error=errors[t.name])),
        )
        for t in MODEL
        if t.name in errors
    ]
    found = priced(*with_factors, MODEL[3])
    assert found["Adafactor with momentum"].basis == "measured"
    assert found["Adafactor with momentum"].update_error == 0.4
    assert found["Adafactor"].basis == "option"  # nothing says what the loss of m costs
    assert priced(*with_factors, MODEL[2])["Adafactor with momentum"].basis == "option"


def test_the_error_of_the_plan_is_its_worst_tensor() -> None:
    def one(name: str, error: float) -> Tensor:
        return Tensor(name, (8, 8), "mlp up", (Candidate(mean_over(0), "axes 0", 2.0, 2.0, error),))

    assert priced(one("a", 0.1), one("b", 0.3))["this plan"].update_error == 0.3
    unknown = priced(one("a", 0.1), one("b", math.nan))["this plan"]
    assert math.isnan(unknown.update_error)


def test_every_line_has_its_source() -> None:
    for one in compare(decide(evidence(*MODEL))):
        assert "20" in one.source
        assert one.what
    names = list(priced())
    assert names[:2] == ["AdamW", "this plan"]
    assert len(names) == 13
