"""The grammar of limits: what a line means, that it reads back, and what its errors say."""

from __future__ import annotations

import pytest

from dyntools.checks.limit import Limit, Relation, parse, quoted
from dyntools.errors import UsageError

READ = {
    "hessian_top[0]@last within 10%": Limit(
        "hessian_top", Relation.within, selection=(("", "0"),), relative=0.1
    ),
    "effective_rank[layer=*.weight]@min above 0.2": Limit(
        "effective_rank",
        Relation.above,
        selection=(("layer", "*.weight"),),
        reduction="min",
        bound=0.2,
    ),
    "hessian_top@max below -4e1": Limit(
        "hessian_top", Relation.below, reduction="max", bound=-40.0
    ),
    "layer_rotation@last not above by 0.05": Limit(
        "layer_rotation", Relation.not_above, absolute=0.05
    ),
    "weight_norm.rms@mean not below by 5 %": Limit(
        "weight_norm", Relation.not_below, "rms", reduction="mean", relative=0.05
    ),
    "weight_norm within 10% or 0.01": Limit(
        "weight_norm", Relation.within, absolute=0.01, relative=0.1
    ),
    "weight_norm@0500 within .5": Limit(
        "weight_norm", Relation.within, reduction="500", absolute=0.5
    ),
    "snr.corrected[layer=h.0.attn[query], axes='0,1']@slope within 0": Limit(
        "snr",
        Relation.within,
        "corrected",
        (("layer", "h.0.attn[query]"), ("axes", "0,1")),
        "slope",
        absolute=0.0,
    ),
}


@pytest.mark.parametrize("text", READ)
def test_a_line_means_what_the_grammar_says(text: str) -> None:
    assert parse(text) == READ[text]
    assert str(parse(f"  {text} ")) == text


@pytest.mark.parametrize("limit", READ.values())
def test_a_limit_made_in_python_is_written_as_a_line_that_reads_back(limit: Limit) -> None:
    assert not limit.text
    assert parse(str(limit)) == limit


def test_words_may_stand_apart() -> None:
    spaced = parse("a[ layer = x , 'b c' ]  not   above\tby  10 %  or  1 ")
    assert spaced == parse("a[layer=x,'b c'] not above by 10% or 1")
    assert spaced.selection == (("layer", "x"), ("", "b c"))


@pytest.mark.parametrize("label", ["x", "a[b]", "a]b", "0,1", "it's", "", "a b", "dim=x", "层.é"])
def test_a_quoted_label_reads_back(label: str) -> None:
    assert parse(f"m[layer={quoted(label)}] within 1").selection == (("layer", label),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the name of a metric"),
        ("10% hessian_top", "the name of a metric"),
        ("hessian_top. within 1", "the name of a companion"),
        ("hessian_top", "`below`, `above`, `within`, `not above by`, `not below by`"),
        ("hessian_top[0] around 10%", "`within`"),
        ("hessian_top[0] withinness 10%", "`within`"),
        ("hessian_top[0 within 10%", "a label or a pattern"),
        ("hessian_top[] within 10%", "a label or a pattern"),
        ("hessian_top['a within 10%", "a closing '"),
        ("hessian_top[a,b] within 10%", "each dim at most once"),
        ("hessian_top[rank=1,rank=2] within 10%", "each dim at most once"),
        ("hessian_top@ within 10%", "a step, or one of last"),
        ("hessian_top below", "a number"),
        ("hessian_top below 10%", "nothing more"),
        ("hessian_top within", "a tolerance such as"),
        ("hessian_top within ten", "a tolerance such as"),
        ("hessian_top within -1", "a tolerance of at least 0"),
        ("hessian_top within 1 or 2", "one amount, not two"),
        ("hessian_top within 1% or 2%", "one share, not two"),
        ("hessian_top within 1 and 2", "nothing more"),
        ("hessian_top within nan", "a tolerance such as"),
    ],
)
def test_an_error_says_what_was_expected_and_where(text: str, expected: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(text)
    assert expected in raised.value.what
    assert raised.value.found
    assert "hessian_top[0]@last within 10%" in str(raised.value.remedy)


def test_an_unknown_reduction_lists_the_nearest() -> None:
    with pytest.raises(UsageError, match="no reduction 'average'"):
        parse("hessian_top@average within 1")
    with pytest.raises(UsageError) as raised:
        parse("hessian_top@medan within 1")
    assert str(raised.value.remedy).startswith("median")


@pytest.mark.parametrize(
    "relation", ["below 1e400", "above -1e400", "within 1e400%", "within 1% or 1e309"]
)
def test_a_number_beyond_float64_is_no_limit(relation: str) -> None:
    """Read as infinity it would let everything pass."""
    with pytest.raises(UsageError, match="expected a number below"):
        parse(f"hessian_top {relation}")
