"""The page as a file: well-formed, closed to everything outside, escaped, small, readable."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from pathlib import Path

import pytest

from dyntools.page import html, markdown
from dyntools.page.rendering import TEMPLATES, linked
from dyntools.report import Report
from tests.page.conftest import HOSTILE, Tree, series
from tests.page.large import large_report
from tests.reports import random_report


@pytest.fixture(scope="module")
def large() -> str:
    return html([large_report()])


@pytest.fixture(params=["small", "hostile", "empty", "several"])
def page(request: pytest.FixtureRequest, hostile: Report) -> str:
    small = random_report()
    made = {
        "small": [small],
        "hostile": [hostile],
        "empty": [Report()],
        "several": [small, hostile],
    }
    return html(made[request.param])


def test_well_formed_with_unique_names_that_exist(page: str) -> None:
    tree = Tree(page)
    assert tree.problems == []
    ids = [node.attributes["id"] for node in tree.nodes if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    wanted = {part for n in tree.nodes for part in n.attributes.get("aria-labelledby", "").split()}
    wanted |= {
        n.attributes["href"][1:] for n in tree.all("a") if n.attributes["href"].startswith("#")
    }
    assert wanted <= set(ids)


def test_policy_allows_this_style_and_this_script_and_nothing_else(page: str) -> None:
    tree = Tree(page)
    policy = next(
        n.attributes["content"]
        for n in tree.all("meta")
        if n.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        (node,) = tree.all(tag)
        digest = hashlib.sha256("".join(node.text).encode()).digest()
        assert rules[rule] == f"'sha256-{base64.b64encode(digest).decode()}'"
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"


def test_nothing_is_loaded_from_elsewhere(page: str) -> None:
    tree = Tree(page)
    for node in tree.nodes:
        assert not [name for name in node.attributes if name.startswith("on") or name == "style"]
        assert "src" not in node.attributes
        if node.tag == "link":
            assert node.attributes["href"].startswith("data:")
        if node.tag == "a":
            assert re.match(r"#|https://(arxiv\.org/abs|doi\.org)/", node.attributes["href"])
    assert "url(" not in Path(TEMPLATES / "page.css").read_text()
    assert "@import" not in Path(TEMPLATES / "page.css").read_text()


def test_text_of_a_file_stays_text(hostile: Report) -> None:
    page = html([hostile])
    tree = Tree(page)
    assert len(tree.all("script")) == 1
    assert not tree.all("img")
    assert "<script>alert" not in page
    said = "".join(part for node in tree.nodes for part in node.text)
    for name in HOSTILE:
        assert name in said


def test_every_drawing_has_a_name_and_every_table_a_caption(page: str) -> None:
    tree = Tree(page)
    inside = {id(n.parent): n for n in tree.nodes if n.tag == "title"}
    for node in tree.all("svg"):
        if node.attributes.get("class") == "cells":
            continue  # part of a drawing that has one
        assert id(node) in inside
        assert "".join(inside[id(node)].text).strip()
    captioned = {id(n.parent) for n in tree.all("caption")}
    assert captioned == {id(n) for n in tree.all("table")}
    assert all(n.attributes["scope"] in ("row", "col") for n in tree.all("th"))


def test_headings_never_skip_a_level(page: str) -> None:
    levels = [int(n.tag[1]) for n in Tree(page).nodes if re.fullmatch(r"h\d", n.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))


@pytest.mark.slow
def test_large_run_stays_below_three_megabytes(large: str) -> None:
    """Random numbers, in which no two neighbours share a colour: the worst there is."""
    assert len(large.encode()) < 3_000_000
    assert Tree(large).problems == []


@pytest.mark.slow
def test_markdown_of_a_large_run_fits_a_comment() -> None:
    assert 50_000 < len(markdown([large_report()] * 9).encode()) < 60_000


def test_what_is_missing_is_said_and_has_no_section() -> None:
    page = html([Report({"run": "r"}, {"weight_norm": series("weight_norm", [[1.0], [2.0]])})])
    assert "There is no training log" in page
    assert "Curvature was not measured" in page
    titles = {"".join(n.text) for n in Tree(page).all("h2")}
    assert titles == {"Findings", "Weights", "Provenance", "Not in this report"}


def test_several_reports_have_a_table_of_all_and_a_part_each(hostile: Report) -> None:
    tree = Tree(html([random_report(), random_report(seed=1), hostile], ["a.h5", "b.h5", "c.h5"]))
    assert len(tree.all("article")) == 3
    said = "".join(part for node in tree.nodes for part in node.text)
    assert "b.h5" in said


def test_the_same_report_gives_the_same_bytes() -> None:
    assert html([random_report()]) == html([random_report()])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("arXiv:2103.00065",
         '<a href="https://arxiv.org/abs/2103.00065" rel="noreferrer">arXiv:2103.00065</a>'),
        ('"doi:10.1/x" <b>', "&#34;doi:10.1/x&#34; &lt;b&gt;"),
        ('doi:10.1007/3-540_8"x',
         '<a href="https://doi.org/10.1007/3-540_8" rel="noreferrer">doi:10.1007/3-540_8</a>'
         "&#34;x"),
        ("try `a <b>`", "try <code>a &lt;b&gt;</code>"),
    ],
)  # fmt: skip
def test_identifiers_are_links_and_the_rest_is_escaped(text: str, shown: str) -> None:
    assert str(linked(text)) == shown
