"""Markdown: every character of a name is read as itself, tables stay tables, nobody is notified."""

from __future__ import annotations

import re

import pytest

from dyntools.page import markdown
from dyntools.page.blocks import Table, Words
from dyntools.page.markdown import CUT, escaped, finished, in_html, linked_markdown, table_of
from dyntools.report import Report
from tests.reports import random_report


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a|b", r"a\|b"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("a_b*c`d`", r"a\_b\*c\`d\`"),
        ("two\nlines", "two lines"),
        ("# no heading", r"\# no heading"),
        ("- no list", r"\- no list"),
        ("1. no list", r"1\. no list"),
        ("0.5 stays", "0.5 stays"),
        ("-0.5", r"\-0.5"),
        ("see #12 @team", "see \\#\u200b12 @\u200bteam"),
        ("http://x.y", "http:\u200b//x.y"),
        ("[x](y)", r"\[x\](y)"),
        ("c_attn.weight[query]", r"c\_attn.weight\[query\]"),
        (r"back\slash", r"back\\slash"),
    ],
)
def test_steering_characters_are_escaped(text: str, written: str) -> None:
    assert escaped(text) == written


def test_identifiers_are_links_and_commands_code() -> None:
    text = linked_markdown("try `dyntools analyze RUN --metric hessian_top` arXiv:2103.00065 `<b>`")
    assert text == (
        "try `dyntools analyze RUN --metric hessian_top` "
        "[arXiv:2103.00065](https://arxiv.org/abs/2103.00065) \\`&lt;b&gt;\\`"
    )


def test_inside_a_tag_only_html_is_escaped() -> None:
    assert in_html("a_b <c> & d") == "a_b &lt;c&gt; &amp; d"


def test_tables_have_as_many_cells_in_each_line() -> None:
    table = Table(("a", "along steps", "b"), tuple(
        (Words(f"x|{i}"), Words("▁▂"), Words(str(i))) for i in range(30)), (False, False, True),
    )  # fmt: skip
    lines = table_of(table, 20).split("\n")
    assert lines[:3] == ["| a | b |", "| --- | ---: |", r"| x\|0 | 0 |"]
    assert lines[-1] == "*and 10 more rows*"
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines[:-2]} == {3}


def test_a_long_text_is_cut_between_lines_with_its_folds_closed() -> None:
    long = "<details>\n" + "a line with ünïcode\n" * 9000 + "</details>"
    text = finished([long])
    assert len(text.encode()) < 60_000
    assert text.endswith(CUT)
    assert text.count("<details>") == text.count("</details>") == 1
    assert set(text.removesuffix(CUT).split("\n")[1:-3]) <= {"a line with ünïcode", ""}


def test_a_hostile_report_brings_no_tag_and_no_mention(hostile: Report) -> None:
    text = markdown([hostile])
    tags = set(re.findall(r"</?(\w+)", re.sub(r"`[^`]*`", "", text)))
    assert tags <= {"details", "summary", "b"}
    assert "@team" not in text
    assert not re.search(r"(?<!\\)\]\(javascript", text)
    for line in text.split("\n"):
        assert not line.startswith("| ") or line.endswith(" |")


def test_findings_come_first_and_every_part_is_short() -> None:
    text = markdown([random_report()], ["r.h5"])
    assert text.startswith("## made by hand\n\n**")
    assert "r.h5" in text
    assert text.index("### Training") < text.index("<summary>Provenance")
    assert "<svg" not in text
