"""Check annotations: an outcome as workflow commands of GitHub Actions.

    ::error title=…::…          a check that failed
    ::warning title=…::…        one that is inconclusive or not comparable

GitHub shows 10 errors and 10 warnings a step, and 1 MiB of summary (docs.github.com, "Workflow
commands for GitHub Actions" and "Usage limits"). Escapes are those of `@actions/core`: in a message
% CR LF, in a property also : and ,.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from dyntools.checks.verdict import Check, Verdict
from dyntools.views.check_words import Judged, mark_word, told
from dyntools.views.names import printable

MOST = 10  # of each kind, a step
SUMMARY_LIMIT = 1024 * 1024  # bytes of all that one step writes to GITHUB_STEP_SUMMARY
CUT = "\n\nThe summary ends here: GitHub takes 1 MiB a step. `--format json` has every check.\n"


def workflow_commands(judged: Judged) -> list[str]:
    """The workflow commands of the worst ten failures and the worst ten of what is open."""
    checks = judged.outcome.checks
    failed = [check for check in checks if check.verdict is Verdict.fail]
    opened = [check for check in checks if check.verdict not in (Verdict.fail, Verdict.passed)]
    return [*_commands("error", failed), *_commands("warning", opened)]


def fenced(text: str) -> str:
    """`text` for the log of a step, with nothing in it taken for a workflow command.

    Names come from files; `::stop-commands::` with a token nobody can guess is GitHub's own fence.
    """
    token = secrets.token_hex(16)
    return f"::stop-commands::{token}\n{text.rstrip()}\n::{token}::\n"


def summary(markdown: str, room: int) -> str:
    """Markdown cut at the end of a line to `room` bytes, with a sentence that says so."""
    encoded = markdown.encode()
    if len(encoded) <= room:
        return markdown
    kept = encoded[: max(room - len(CUT.encode()), 0)].decode(errors="ignore")
    whole, _, _ = kept.rpartition("\n")
    return whole + CUT if room >= len(CUT.encode()) else ""


def in_message(text: str) -> str:
    """Escaped for what stands behind the second `::`."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def in_property(text: str) -> str:
    """Escaped for a value such as that of `title`."""
    return in_message(text).replace(":", "%3A").replace(",", "%2C")


def _commands(command: str, checks: Sequence[Check]) -> list[str]:
    lines = []
    for i, check in enumerate(checks[:MOST], start=1):
        more = f" And {len(checks) - MOST} more, see the table." if i == MOST < len(checks) else ""
        message = in_message(printable(told(check)) + more)
        lines.append(f"::{command} title={in_property(_title(check))}::{message}")
    return lines


def _title(check: Check) -> str:
    return printable(f"dyntools: {check.quantity} {mark_word(check)}")
