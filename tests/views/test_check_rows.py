"""Few lines, whatever the number of layers, and every check counted."""

from __future__ import annotations

from dyntools.checks import sentences
from dyntools.checks.verdict import Verdict
from dyntools.views import check_rows
from tests.outcomes import check, large, outcome


def test_ten_thousand_layers_are_a_page() -> None:
    found = check_rows.rows(large())
    assert len(found) == check_rows.MOST + 3  # the other failures, what is open, the passes
    assert sum(row.folded + 1 for row in found) == 10_000
    assert [row.entry for row in found[-3:]] == ["and 4960 more", "and 2500 more", "2500 entries"]


def test_the_worst_stand_first_and_in_the_order_given() -> None:
    found = check_rows.rows(large())
    order = [list(Verdict).index(row.verdict) for row in found]
    assert order == sorted(order)
    assert [row.entry for row in found[:3]] == [
        f"transformer.h.{i}.mlp.c_fc.weight" for i in (0, 1, 4)
    ]


def test_folded_passes_show_the_one_nearest_to_its_limit() -> None:
    checks = [check(entry=f"{i}.weight", change=i / 10, now=20 + i / 10) for i in range(9)]
    (row,) = check_rows.rows(outcome(checks))
    assert (row.entry, row.now) == ("9 entries", "20.8")


def test_what_stands_in_the_entry_is_not_in_the_name_too() -> None:
    one, two = (f"weight_norm[layer={x}*]@last within 10%" for x in "ab")
    names = lambda *checks: [row.metric for row in check_rows.rows(outcome(checks))]  # noqa: E731
    assert (
        names(check(entry="a1", limit=one), check(entry="a2", limit=one))
        == ["weight_norm@last"] * 2
    )
    assert names(check(entry="a1", limit=one), check(entry="b1", limit=two)) == [
        "weight_norm[layer=a*]@last",
        "weight_norm[layer=b*]@last",
    ]
    assert names(check(entry="", limit="hessian_top[0]@last within 10%")) == ["hessian_top[0]@last"]


def test_no_p_is_zero() -> None:
    (row,) = check_rows.rows(outcome([check(Verdict.fail, p=0.0, p_adjusted=0.0)]))
    assert row.p == "<1e-16"
    assert sentences.chance(0.0, 0.0, 1, "Holm") == "p < 1e-16"
    assert sentences.chance(0.0, 0.02, 3, "Holm") == "p < 1e-16, by Holm over 3 tests 0.02"


def test_few_passes_are_not_folded_and_limits_not_mixed() -> None:
    other = [
        check(entry=f"{i}", limit="stable_rank@last within 5%", quantity=f"stable_rank[{i}]@last")
        for i in range(3)
    ]
    found = check_rows.rows(outcome([check(), *other]))
    assert [row.metric for row in found] == ["effective_rank@last", *["stable_rank@last"] * 3]
