"""The table on terminals of 80 and 120 columns, and as plain text."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from dyntools.checks.verdict import Outcome, Verdict
from dyntools.views import check_table
from dyntools.views.check_words import Judged
from tests.outcomes import ABOVE, check, hostile, large, outcome


def printed(found: Outcome, width: int = 80, accept: str = "") -> str:
    return check_table.plain(Judged(found, found.exit_code, accept), width)


def test_at_80_columns() -> None:
    lines = printed(outcome()).splitlines()
    assert lines[0] == "Check of run.h5 against baseline.json"
    assert lines[1].split() == ["metric", "entry", "baseline", "now", "change", "tolerance"]
    assert [line.split() for line in lines[3:9]] == [
        ["+", "hessian_top[0]@last", "20.1±0.3", "24.3±0.2", "+20.9", "%", "±10.0", "%"],
        ["+", "sparsity@max", "2.weight", "–", "45.0", "–", "<", "40.0"],
        ["!", "effective_rank@last", "4.weight", "20.0", "–", "–", "±2.00"],
        ["x", "hessian_trace@last", "20.0", "20.5", "+2.50", "%", "±10.0", "%"],
        ["~", "effective_rank@last", "1.weight", "20±3", "20±4", "+2.50", "%", "±10.0", "%"],
        ["effective_rank@last", "0.weight", "20.0", "20.5", "+2.50", "%", "±10.0", "%"],
    ]
    assert "no room at this width: verdict, p" in lines
    assert lines[-1].startswith("FAIL: 3 of 6 checks failed")


def test_bounds_alone_have_neither_baseline_nor_change() -> None:
    lines = printed(outcome([ABOVE], baseline="")).splitlines()
    assert lines[0] == "Check of run.h5"
    assert lines[1].split() == ["metric", "entry", "now", "tolerance", "verdict"]


def test_at_120_columns_the_verdict_and_p_have_room() -> None:
    lines = printed(outcome(), 120).splitlines()
    assert lines[1].split()[-2:] == ["verdict", "p"]
    assert lines[3].split()[-2:] == ["fail", "0.00400"]
    assert "no room" not in "\n".join(lines)


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("found", [outcome(), hostile(), large(), outcome([])])
def test_no_line_is_wider_but_the_last(found: Outcome, width: int) -> None:
    lines = printed(found, width).splitlines()
    assert max(map(cell_len, lines[:-1])) <= width
    assert len(lines) < 120


def test_sentences_say_why_and_each_once() -> None:
    same = [check(Verdict.not_comparable, f"{i}", sentence="The unit differs.") for i in range(7)]
    text = printed(outcome(same))
    assert text.count("The unit differs. (and 6 more") == 1
    assert "and 7490 more; --format json has all" in printed(large())


def test_the_command_that_accepts_is_one_line() -> None:
    command = "dyntools baseline " + "a-long-name.h5 " * 20 + "-o baseline.json"
    assert printed(outcome(), 80, command).splitlines()[-1].endswith(command)


def test_names_do_not_steer_the_terminal() -> None:
    text = printed(hostile(), 120)
    assert "\x00" not in text
    assert "\x07" not in text
    assert not any(line.startswith("::") for line in text.splitlines())
    text.encode()  # no lone surrogate is left
