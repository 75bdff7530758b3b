"""Markdown: names, numbers and tables as GitHub reads them, and no more of it than a comment holds.

What is escaped, and why, says `views.markdown`; here it is marked as `Ready`, for the templates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dyntools.page.blocks import Table
from dyntools.views import markdown

MOST_BYTES = 60_000  # a comment of GitHub holds 65 536 characters; some are left for others
MOST_ROWS = 20  # of a table; chosen
_CODE = re.compile(
    r"\\`([\w ./=:,…'-]+(?:\\_[\w ./=:,…'-]+)*)\\`"
)  # as the sentences of ours have it
ARXIV = r"arXiv:(\d{4}\.\d{4,5})"
CUT = "\n\n*The rest does not fit in a comment: `dyntools report REPORT -o report.html`.*\n"


class Ready(str):
    """Markdown that is escaped already."""

    __slots__ = ()


def escaped(text: str) -> Ready:
    """`text` on one line, as it would be read in a terminal; see `views.markdown`."""
    return Ready(markdown.escaped(text))


def in_html(text: str) -> Ready:
    """For inside of a tag, where Markdown is not read."""
    return Ready(markdown.in_html(text))


def escaped_or_ready(value: object) -> str:
    """What the templates put around each expression."""
    return value if isinstance(value, Ready) else escaped(str(value))


def linked_markdown(text: str) -> Ready:
    """Escaped, with arXiv identifiers as links and commands as code."""
    shown = _CODE.sub(lambda found: f"`{found[1].replace(chr(92), '')}`", escaped(text))
    return Ready(re.sub(ARXIV, r"[arXiv:\1](https://arxiv.org/abs/\1)", shown))


def table_of(table: Table, most: int = MOST_ROWS) -> Ready:
    """A table with its numbers to the right; of more rows than `most` it says so."""
    kept = [j for j, name in enumerate(table.headers) if not name.startswith("along")]
    lines = [
        [escaped(table.headers[j]) for j in kept],
        [Ready("---:" if table.right[j] else "---") for j in kept],
        *([escaped(row[j].text) for j in kept] for row in table.rows[:most]),
    ]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    more = len(table.rows) - most
    return Ready(f"{text}\n\n*and {more} more rows*" if more > 0 else text)


def finished(parts: Sequence[str]) -> str:
    """The reports below one another, cut between lines where they are too long for a comment."""
    text = "\n\n---\n\n".join(part.strip() for part in parts) + "\n"
    text = re.sub(r"\n{3,}", "\n\n", text)
    if len(text.encode()) <= MOST_BYTES:
        return text
    room = MOST_BYTES - len(CUT.encode()) - len("\n\n</details>")
    kept = text.encode()[:room].decode(errors="ignore").rpartition("\n")[0]
    open_folds = kept.count("<details>") - kept.count("</details>")
    return kept + "\n\n</details>" * open_folds + CUT
