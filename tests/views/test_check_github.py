"""Annotations as GitHub's runner reads them: parsed back by the rules of its own source."""

from __future__ import annotations

import re

import pytest

from dyntools.checks.verdict import Verdict
from dyntools.views import check_github
from dyntools.views.check_words import Judged
from tests.outcomes import check, hostile, large, outcome

# src/Runner.Common/ActionCommand.cs: a line that begins with ::, properties parted by commas.
COMMAND = re.compile(r"^::(error|warning) title=([^,:\r\n]*)::([^\r\n]*)$")
UNESCAPED = re.compile("%(?!25|0A|0D|3A|2C)")


def read(line: str) -> tuple[str, str, str]:
    """Command, title and message, unescaped."""
    found = COMMAND.match(line)
    assert found, line
    assert not UNESCAPED.search(line), line
    command, title, message = found.groups()
    for code, character in (("%3A", ":"), ("%2C", ",")):
        title = title.replace(code, character)
    for code, character in (("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        title, message = title.replace(code, character), message.replace(code, character)
    return command, title, message


def test_failures_are_errors_and_what_is_open_warnings() -> None:
    lines = [read(line) for line in check_github.workflow_commands(Judged(outcome(), 1))]
    assert [line[0] for line in lines] == ["error"] * 3 + ["warning"] * 2
    assert lines[0] == (
        "error",
        "dyntools: hessian_top[rank=1]@last rose",
        "hessian_top[rank=1]@last rose from 20.1 to 24.3 (+21%), beyond 10%.",
    )
    assert lines[2][1] == "dyntools: effective_rank[layer=4.weight]@last no number"
    assert lines[1][1] == "dyntools: sparsity[layer=2.weight]@max too high"
    assert lines[3][1] == "dyntools: hessian_trace@last not comparable"


def test_at_most_ten_of_each_and_the_last_says_how_many_more() -> None:
    lines = [read(line) for line in check_github.workflow_commands(Judged(large(), 1))]
    assert [line[0] for line in lines] == ["error"] * 10 + ["warning"] * 10
    assert lines[9][2].endswith("@last says 17. And 4990 more, see the table.")
    assert "more" not in lines[8][2]


def test_exactly_ten_need_no_such_word() -> None:
    found = outcome([check(Verdict.fail, f"{i}") for i in range(10)])
    assert "more" not in "".join(check_github.workflow_commands(Judged(found, 1)))


def test_no_name_escapes_its_line() -> None:
    lines = check_github.workflow_commands(Judged(hostile(), 1))
    assert len(lines) == 7
    for line in lines:
        read(line)
        line.encode()


def test_passes_need_none() -> None:
    assert check_github.workflow_commands(Judged(outcome([check()]), 0)) == []


def test_escapes_are_those_of_the_toolkit() -> None:
    assert check_github.in_message("100 %\r\n: ,") == "100 %25%0D%0A: ,"
    assert check_github.in_property("a:b,c%0A") == "a%3Ab%2Cc%250A"


def test_a_fenced_text_is_stopped_with_a_token_of_its_own() -> None:
    first, second = (check_github.fenced("::error::no\n").splitlines() for _ in range(2))
    assert re.fullmatch(r"::stop-commands::[0-9a-f]{32}", first[0])
    assert first[1:] == ["::error::no", f"::{first[0].removeprefix('::stop-commands::')}::"]
    assert first[0] != second[0]


@pytest.mark.parametrize("room", [0, 50, 200, 300, 1000])
def test_a_summary_is_cut_at_a_line_and_says_so(room: int) -> None:
    markdown = "zeile äöü\n" * 60
    cut = check_github.summary(markdown, room)
    assert len(cut.encode()) <= room
    if room == 1000:
        assert cut == markdown
    elif room >= 200:
        assert cut.endswith(check_github.CUT)
        assert set(cut.removesuffix(check_github.CUT).splitlines()) == {"zeile äöü"}
