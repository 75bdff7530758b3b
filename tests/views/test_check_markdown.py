"""Markdown in which names are code and nothing else is markup."""

from __future__ import annotations

import re

import pytest

from dyntools.views import check_markdown
from dyntools.views.check_words import Judged
from dyntools.views.markdown import code, with_code
from tests.outcomes import HOSTILE, hostile, large, outcome

COMMAND = "dyntools baseline run.h5 -o baseline.json"


def without_code(markdown: str) -> str:
    """The text with its code spans taken out, by the rule of CommonMark 0.31, section 6.1."""
    return re.sub(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", markdown, flags=re.DOTALL)


def test_it_holds_the_verdict_the_table_and_the_command() -> None:
    text = check_markdown.markdown(Judged(outcome(), 1, COMMAND))
    assert text.startswith("### dyntools: FAIL: 3 of 6 checks failed")
    row = "| `+` | `hessian_top[0]@last` |  | 20.1±0.3 | 24.3±0.2 | +20.9 % | ±10.0 % | ❌ fail |"
    assert row in text
    assert "<details><summary>1 check passed</summary>" in text
    assert f"```console\n$ {COMMAND}\n```" in text
    assert "one note" in text


def test_every_row_has_every_column() -> None:
    for found in (outcome(), hostile(), large()):
        lines = check_markdown.markdown(Judged(found, 1)).splitlines()
        for line in lines:
            if line.startswith("|"):
                assert len(re.findall(r"(?<!\\)\|", line)) == len(check_markdown.HEADERS) + 1, line


def test_names_are_code_and_nothing_else() -> None:
    markdown = check_markdown.markdown(Judged(hostile(), 1))
    rest = without_code(markdown)
    for markup in ("<script", "@last", "*bold*", "[x]", "http:", "::error"):
        assert markup in markdown
        assert markup not in rest
    assert "\x00" not in markdown
    markdown.encode()


@pytest.mark.parametrize("name", [*HOSTILE, "`", "``", " ", ""])
def test_a_code_span_holds_any_name(name: str) -> None:
    assert without_code(code(name)) == ""
    assert "\n" not in code(name)


def test_sentences_call_nobody() -> None:
    text = with_code("hessian_top[0]@last, of 3 (and @octocat), is 100 % up.")
    assert text == "`hessian_top[0]@last`, of 3 (and `@octocat`), is 100 % up."


def test_ten_thousand_layers_fit_a_summary() -> None:
    assert len(check_markdown.markdown(Judged(large(), 1)).encode()) < 20_000
