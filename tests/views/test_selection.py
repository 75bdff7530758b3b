"""Which layers a pattern means."""

from __future__ import annotations

import pytest

from dyntools.report import Report
from dyntools.views.selection import like, measured_rows, with_layers, with_step


@pytest.mark.parametrize(
    ("name", "glob", "answer"),
    [
        ("c_attn.weight[query]", "c_attn.weight[query]", True),
        ("c_attn.weight[query]", "*[query]", True),
        ("c_attn.weightq", "c_attn.weight[query]", False),
        ("h.1.mlp", "h.?.mlp", True),
        ("h.11.mlp", "h.?.mlp", False),
        ("H.1", "h.1", False),
    ],
)
def test_brackets_are_literal(name: str, glob: str, answer: bool) -> None:
    assert like(name, glob) is answer


def test_restricting_keeps_companions_aligned(small: Report) -> None:
    one = with_step(with_layers(small["spectral_norm"], "*.2.*"), 100)
    assert one.values.tolist() == [[2.2]]
    assert one.beside["ratio_to_initial"].tolist() == [[1.1]]
    assert one.coords["layer"] == ("net.2.weight",)


def test_a_step_that_failed_counts_as_measured(small: Report) -> None:
    assert measured_rows(small["layer_rotation"]).tolist() == [0, 1, 2]
