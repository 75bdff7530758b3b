"""Check as Markdown: for the summary of a step on GitHub, or a comment on a pull request.

GitHub Flavored Markdown (spec 0.29). Names come from files: they stand in code spans, where nothing
is markup and no `@last` calls a person of that name.
"""

from __future__ import annotations

from collections.abc import Sequence

from dyntools.checks.verdict import Verdict
from dyntools.views.check_rows import OF_SEVERAL, Row, rows
from dyntools.views.check_words import Judged, foot, headline, title, told
from dyntools.views.markdown import code, console_block, with_code
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


def markdown(judged: Judged) -> str:
    """The verdict, why, the table with the passes folded, and the command that accepts."""
    outcome = judged.outcome
    parts = [f"### dyntools: {headline(outcome)}", with_code(title(outcome))]
    open_checks = [check for check in outcome.checks if check.verdict is not Verdict.passed]
    if open_checks:
        lines = [f"- {with_code(told(check))}" for check in open_checks[:MOST_SENTENCES]]
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
        parts.append(f"To accept what is there now:\n\n{console_block(judged.accept)}")
        if judged.then:
            parts.append(f"and {code(judged.then)} from then on.")
    parts += [with_code(line) for line in foot(outcome)]
    return "\n\n".join(parts) + "\n"


def _table(found: Sequence[Row]) -> str:
    lines = [HEADERS, RULES, *(_cells(row) for row in found)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _cells(row: Row) -> tuple[str, ...]:
    names = (code(name).replace("|", "\\|") for name in (row.mark.strip(), row.metric, row.entry))
    numbers = (row.baseline, row.now, row.change, row.tolerance.replace("<", "&lt;"))
    return (*names, *numbers, SIGNS[row.verdict])
