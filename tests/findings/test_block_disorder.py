"""The order of the blocks of a transformer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dyntools.findings.block_disorder import rule
from tests.findings.reports import blocks_report

ORDERED = {
    "embedding": 1e-6,
    "attention qk": 1e-4,
    "mlp": 3e-4,
    "attention vo": 1e-3,
    "norm": 1e-1,
}


def test_the_order_of_the_paper_is_no_finding() -> None:
    assert rule(blocks_report(ORDERED)) == ()


def test_one_pair_swapped() -> None:
    (found,) = rule(blocks_report({**ORDERED, "attention vo": 5e-5}))
    assert found.layers == ("mlp", "attention vo")
    assert "mlp blocks are sharper than the attention vo blocks" in found.sentence
    assert "norm 1, value-output 4, MLP 6, query-key 8, embedding 10" in found.remedy


def test_the_worst_of_several_is_named() -> None:
    (found,) = rule(blocks_report({**ORDERED, "norm": 1e-7}))
    assert found.layers == ("attention vo", "norm")


def test_errors_that_overlap_tell_nothing() -> None:
    swapped = {**ORDERED, "attention vo": 2e-4}
    assert rule(blocks_report(swapped))
    assert rule(blocks_report(swapped, error=3e-5)) == ()


def test_tensors_are_gathered_by_kind_and_weighed_by_size() -> None:
    """S of the MLP is (100·1e-3 + 300·1e-4) / 400 = 3.25e-4, above V's 3e-4; its mean is not."""
    values = {
        "wte.weight": 1e-6,
        "h.0.attn.c_attn.weight[query]": 1e-5,
        "h.0.attn.c_attn.weight[value]": 3e-4,
        "h.0.mlp.c_fc.weight": 1e-3,
        "h.0.mlp.c_proj.weight": 1e-4,
        "h.0.mlp.c_proj.bias": 9.0,
        "h.0.ln_1.weight": 1e-1,
    }
    sizes = dict.fromkeys(values, 100.0) | {"h.0.mlp.c_proj.weight": 300.0}
    (found,) = rule(blocks_report(values, sizes=sizes))
    assert found.layers == ("mlp", "attention vo")
    assert "0.000325 against 0.0003" in found.sentence
    sizes["h.0.mlp.c_proj.weight"] = 900.0
    assert rule(blocks_report(values, sizes=sizes)) == ()


def test_the_kinds_of_the_report_are_those_a_person_gave() -> None:
    values = {"a.weight": 1e-6, "b.weight": 1e-4, "c.weight": 1e-3, "d.weight": 1e-5}
    report = blocks_report(values)
    assert rule(report) == ()
    given = [["a.*", "embedding"], ["b.*", "query"], ["c.*", "mlp down"], ["d.*", "value"]]
    (found,) = rule(replace(report, attributes={**report.attributes, "kinds": given}))
    assert found.layers == ("mlp", "attention vo")


@pytest.mark.parametrize(
    "values",
    [{"mlp": 2.0, "norm": 1.0, "embedding": 3.0}, {"attention qk": 2.0, "mlp": 1.0}],
    ids=["no attention", "two kinds"],
)
def test_other_networks_have_no_such_order(values: dict[str, float]) -> None:
    assert rule(blocks_report(values)) == ()


def test_before_the_order_has_formed() -> None:
    swapped = {**ORDERED, "norm": 1e-7}
    assert rule(blocks_report(swapped, step=0)) == ()
    assert rule(blocks_report(swapped, step=900, checkpoints=(0, 900, 50_000))) == ()
    assert rule(blocks_report(swapped, step=1100, checkpoints=(0, 900, 50_000)))
