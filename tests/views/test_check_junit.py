"""JUnit XML that the readers of Jenkins and GitLab accept, whatever a layer is called."""

from __future__ import annotations

import re
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

from dyntools.checks.verdict import Outcome, Verdict
from dyntools.views import check_junit
from dyntools.views.check_words import Judged
from dyntools.views.names import printable
from tests.outcomes import HOSTILE, UNCLEAR, check, hostile, large, outcome


class Kind(NamedTuple):
    """What the schema says of an element: children, attributes it needs and may have, text."""

    children: set[str]
    needed: set[str]
    allowed: set[str]
    text: bool = False


TOLD = Kind(set(), set(), {"type", "message"}, text=True)
# junit-10.xsd of the Jenkins xUnit plugin (jenkinsci/xunit-plugin), the elements used here.
SCHEMA = {
    "testsuites": Kind({"testsuite"}, set(), {"name", "time", "tests", "failures", "errors"}),
    "testsuite": Kind(
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
        {"name", "tests", "failures", "errors"},
        {"group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log"},
    ),
    "testcase": Kind(
        {"skipped", "error", "failure", "system-out", "system-err"},
        {"name"},
        {"time", "classname", "group"},
    ),
    "failure": TOLD,
    "error": TOLD,
    "skipped": TOLD,
    "system-out": Kind(set(), set(), set(), text=True),
}


def validate(element: ElementTree.Element) -> None:
    kind = SCHEMA[element.tag]
    assert kind.needed <= set(element.attrib) <= kind.needed | kind.allowed, element.attrib
    assert kind.text or not (element.text or "").strip()
    assert not (element.tail or "").strip()
    assert re.fullmatch(r"[0-9]*(\.[0-9]*)?", element.get("time", "0"))
    for child in element:
        assert child.tag in kind.children, f"{child.tag} in {element.tag}"
        validate(child)


def read(found: Outcome, exit_code: int = 1) -> ElementTree.Element:
    """Through bytes, as a file would be."""
    root = ElementTree.fromstring(check_junit.junit(Judged(found, exit_code)).encode())
    assert root.tag == "testsuites"
    validate(root)
    for element in (root, *root):
        cases = list(element.iter("testcase"))
        assert element.get("tests") == str(len(cases))
        for attribute, tag in (("failures", "failure"), ("errors", "error")):
            assert element.get(attribute) == str(len(list(element.iter(tag))))
    return root


def test_each_verdict_has_its_element() -> None:
    root = read(outcome())
    kinds = [next((child.tag for child in case), "") for case in root.iter("testcase")]
    assert kinds == ["failure", "failure", "failure", "error", "error", ""]
    assert [case.get("classname") for case in root.iter("testcase")][:2] == [
        "hessian_top",
        "sparsity",
    ]
    failure = root.find(".//failure")
    assert failure is not None
    sentence = "hessian_top[rank=1]@last rose from 20.1 to 24.3 (+21%), beyond 10%."
    assert failure.get("message") == sentence
    assert failure.text is not None
    assert failure.text.startswith(sentence)  # what GitLab shows
    assert "baseline 20.1±0.3, now 24.3±0.2, change +20.9 %, tolerance ±10.0 %" in failure.text


def test_what_was_let_pass_is_skipped() -> None:
    root = read(outcome([UNCLEAR, check()]), exit_code=0)
    assert [next((c.tag for c in case), "") for case in root.iter("testcase")] == ["skipped", ""]
    assert root[0].get("skipped") == "1"


@pytest.mark.parametrize("found", [hostile(), large(), outcome([])], ids=["names", "many", "none"])
def test_it_is_valid_and_no_two_cases_share_a_name(found: Outcome) -> None:
    """GitLab drops the second of two cases of one name."""
    cases = [(case.get("classname"), case.get("name")) for case in read(found).iter("testcase")]
    assert len(set(cases)) == len(cases) == len(found.checks)


def test_the_same_limit_twice_is_told_apart() -> None:
    names = [case.get("name") for case in read(outcome([check(), check()])).iter("testcase")]
    assert names == [
        "effective_rank@last within 10% 0.weight",
        "effective_rank@last within 10% 0.weight (2)",
    ]


def test_characters_that_xml_cannot_hold_are_escaped() -> None:
    root = read(hostile())
    names = [case.get("name") for case in root.iter("testcase")]
    assert names[0] == f"effective_rank@last within 10% {HOSTILE[0]}"
    assert names[5] == "effective_rank@last within 10% nul\\x00bell\\x07\\ud800"
    assert "\n::error" not in check_junit.junit(Judged(hostile(), 1))


def test_what_is_printable_is_legal_in_xml() -> None:
    """XML 1.0, section 2.2: Char."""
    for code in [*range(0x20), 0x7F, 0xD800, 0xDFFF, 0xFFFE, 0xFFFF, 0xE000, 0x10FFFF, 0x1F600]:
        ElementTree.fromstring(f"<a>{printable(chr(code)).replace('<', '')}</a>".encode())


def test_the_validator_can_fail() -> None:
    for text in (
        "<testsuites><testcase name='a'/></testsuites>",
        "<testsuites><testsuite name='a' tests='0' failures='0'/></testsuites>",
        "<testsuites>text</testsuites>",
    ):
        with pytest.raises(AssertionError):
            validate(ElementTree.fromstring(text))
    read(outcome([check(Verdict.passed)]), 0)
