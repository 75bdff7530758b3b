"""Check as JUnit XML: one test case a check, for Jenkins, GitLab and what else reads it.

Elements, attributes and their order are those of the schema of the Jenkins xUnit plugin
(junit-10.xsd), which has no more than others accept. A failed check is a `failure`; one that is
inconclusive or not comparable an `error`, or `skipped` where the command was told to let it pass.
GitLab shows the text of an element and drops cases that have the name of an earlier one, so that
the sentence stands in both places and names are made unique. What `printable` leaves, XML 1.0 can
hold (section 2.2, Char).
"""

from __future__ import annotations

from collections import Counter
from xml.etree import ElementTree

from dyntools.checks.verdict import Check, Verdict
from dyntools.views.check_words import (
    Judged,
    change_text,
    foot,
    last_line,
    title,
    told,
    tolerance_text,
    value_text,
)
from dyntools.views.names import printable

SUITE = "dyntools check"


def junit(judged: Judged) -> str:
    """The document, with its declaration."""
    checks = judged.outcome.checks
    kinds = Counter(_kind(check, judged) for check in checks)
    numbers = {
        "tests": str(len(checks)),
        "failures": str(kinds["failure"]),
        "errors": str(kinds["error"]),
    }
    root = ElementTree.Element("testsuites", {"name": SUITE, **numbers})
    suite = ElementTree.SubElement(
        root, "testsuite", {"name": SUITE, **numbers, "skipped": str(kinds["skipped"])}
    )
    taken: Counter[tuple[str, str]] = Counter()
    for check in checks:
        case = ElementTree.SubElement(suite, "testcase", _names(check, taken))
        if kind := _kind(check, judged):
            sentence = printable(told(check))
            found = {"message": sentence, "type": str(check.verdict)}
            ElementTree.SubElement(
                case, kind, found
            ).text = f"{sentence}\n{printable(_numbers(check))}"
    lines = [title(judged.outcome), *foot(judged.outcome), last_line(judged)]
    ElementTree.SubElement(suite, "system-out").text = "\n".join(map(printable, lines))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False).join(
        ("<?xml version='1.0' encoding='utf-8'?>\n", "\n")
    )


def _kind(check: Check, judged: Judged) -> str:
    """The element inside a test case; "" for a pass."""
    if check.verdict is Verdict.passed:
        return ""
    if check.verdict is Verdict.fail:
        return "failure"
    return "skipped" if judged.exit_code == 0 else "error"


def _names(check: Check, taken: Counter[tuple[str, str]]) -> dict[str, str]:
    metric, name = printable(check.metric), printable(f"{check.limit} {check.entry}".rstrip())
    taken[metric, name] += 1
    if (seen := taken[metric, name]) > 1:
        name = f"{name} ({seen})"
    return {"name": name, "classname": metric, "time": "0"}


def _numbers(check: Check) -> str:
    parts = {
        "baseline": value_text(check.baseline, check.baseline_error),
        "now": value_text(check.now, check.now_error),
        "change": change_text(check),
        "tolerance": tolerance_text(check),
    }
    return ", ".join(f"{name} {text}" for name, text in parts.items())
