"""Markdown: text and names as GitHub shows them, with nothing in them taken for markup.

GitHub Flavored Markdown Spec 0.29. Names come from files. Whatever steers Markdown or HTML is
escaped, and `@name` and `#1` are broken by a space of no width, so that a layer's name notifies
nobody; or the name stands in a code span, where nothing is markup.
"""

from __future__ import annotations

import re

from dyntools.views.names import printable

_STEERING = re.compile(r"([\\`*_\[\]#|~$]|^[-+]|(?<=^\d)[.)](?=\s)|(?<=^\d\d)[.)](?=\s))")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# A word with any of these is shown as code; what ends a sentence stays outside.
_MARKUP = re.compile(r"[`*_\[\]<>|\\@~#&!:^$]")
_WORD = re.compile(r"(\S+?)([.,;:)]*)(?=\s|$)")


def escaped(text: str) -> str:
    """`text` on one line, as it would be read in a terminal; also for a cell of a table."""
    plain = in_html(text)
    plain = re.sub(r"([a-zA-Z])://", "\\1:\u200b//", plain)  # addresses are no links either
    plain = _STEERING.sub(r"\\\1", plain)
    return re.sub(r"(@|\\#)(?=\w)", "\\1\u200b", plain)


def in_html(text: str) -> str:
    """On one line, for inside of a tag, where Markdown is not read."""
    return "".join(_HTML.get(c, c) for c in printable(" ".join(text.split())))


def with_code(sentence: str) -> str:
    """A sentence in which every word that could be markup is code."""

    def shown(found: re.Match[str]) -> str:
        word, end = found.groups()
        return (code(word) if _MARKUP.search(word) else word) + end

    return _WORD.sub(shown, printable(sentence.replace("\n", " ")))


def code(name: str) -> str:
    """A code span that holds any text; in a cell of a table `|` is still to be escaped."""
    shown = printable(name)
    if not shown:
        return ""
    fence = "`" * (_longest_run(shown) + 1)
    pad = " " if len(fence) > 1 else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def console_block(command: str) -> str:
    """A fenced block with one command, as typed at a prompt."""
    fence = "`" * max(3, _longest_run(command) + 1)
    return f"{fence}console\n$ {printable(command)}\n{fence}"


def _longest_run(text: str) -> int:
    """Of backticks."""
    return max((len(run) for run in re.findall("`+", text)), default=0)
