"""Check as Markdown: for the summary of a step on GitHub, or a comment on a pull request.

GitHub Flavored Markdown (spec 0.29). Names come from files: they stand in code spans, where nothing
is markup and no `@last` calls a person of that name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dyntools.checks.verdict import Verdict
from dyntools.views.check_rows import OF_SEVERAL, Row, rows
from dyntools.views.check_words import Judged, foot, headline, title, told
from dyntools.views.names import printable
from dyntools.views.numbers import count

SIGNS = {
    Verdict.fail: "❌ fail",
    Verdict.not_comparable: "⛔ not comparable",
    Verdict.inconclusive: "❓ inconclusive",
    Verdict.passed: "✅ pass",
}
HEADERS = ("", "metric", "entry", "baseline", "now", "change", "tolerance", "verdict")
RULES = ("---", "---", "---", "---:", "---:", "---:", "---:", "---")
MOST_SENTENCES = 10
# A word with any of these is shown as code; what ends a sentence stays outside.
_MARKUP = re.compile(r"[`*_\[\]<>|\\@~#&!:^$]")
_WORD = re.compile(r"(\S+?)([.,;:)]*)(?=\s|$)")


def markdown(judged: Judged) -> str:
    """The verdict, why, the table with the passes folded, and the command that accepts."""
    outcome = judged.outcome
    parts = [f"### dyntools: {headline(outcome)}", text(title(outcome))]
    open_checks = [check for check in outcome.checks if check.verdict is not Verdict.passed]
    if open_checks:
        lines = [f"- {text(told(check))}" for check in open_checks[:MOST_SENTENCES]]
        if len(open_checks) > MOST_SENTENCES:
            lines.append(f"- and {len(open_checks) - MOST_SENTENCES} more")
        parts.append("\n".join(lines))
    found = rows(outcome)
    bad = [row for row in found if row.verdict is not Verdict.passed]
    good = [row for row in found if row.verdict is Verdict.passed]
    if bad:
        parts.append(_table(bad))
    if good:
        passed = sum(row.folded + 1 for row in good)
        head = f"<details><summary>{count(passed, 'check')} passed</summary>"
        note = f"\n\n{OF_SEVERAL}" if passed > len(good) else ""
        parts.append(f"{head}\n\n{_table(good)}{note}\n\n</details>")
    if judged.accept:
        parts.append(f"To accept what is there now:\n\n{_block(judged.accept)}")
    parts += [text(line) for line in foot(outcome)]
    return "\n\n".join(parts) + "\n"


def text(sentence: str) -> str:
    """A sentence in which every word that could be markup is code."""

    def shown(found: re.Match[str]) -> str:
        word, end = found.groups()
        return (code(word) if _MARKUP.search(word) else word) + end

    return _WORD.sub(shown, printable(sentence.replace("\n", " ")))


def code(name: str) -> str:
    """A code span that holds any text."""
    shown = printable(name)
    if not shown:
        return ""
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def _table(found: Sequence[Row]) -> str:
    lines = [HEADERS, RULES, *(_cells(row) for row in found)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _cells(row: Row) -> tuple[str, ...]:
    names = (code(name).replace("|", "\\|") for name in (row.mark.strip(), row.metric, row.entry))
    numbers = (row.baseline, row.now, row.change, row.tolerance.replace("<", "&lt;"))
    return (*names, *numbers, SIGNS[row.verdict])


def _block(command: str) -> str:
    longest = max((len(run) for run in re.findall("`+", command)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}console\n$ {printable(command)}\n{fence}"
