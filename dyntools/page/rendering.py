"""Rendering: sections as one HTML file, or as Markdown, by templates.

The HTML holds all that it needs. Its Content-Security-Policy allows the one style sheet and the one
script in it, by their SHA-256 (CSP Level 3, W3C), and no request, so that a name from a checkpoint
could not run or load anything even if it were not escaped; and the templates escape everything.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from dyntools.findings import find
from dyntools.page.markdown import (
    ARXIV,
    escaped_or_ready,
    finished,
    in_html,
    linked_markdown,
    table_of,
)
from dyntools.page.memory import decision_of
from dyntools.page.plot import short
from dyntools.page.sections import Article, article
from dyntools.report import Report
from dyntools.views.advice import MARKS
from dyntools.views.numbers import count

TEMPLATES = Path(__file__).parent / "templates"
DOI = r"doi:(10\.\d{4,9}/[\w.()/-]*\w)"


def html(reports: Sequence[Report], files: Sequence[str] = ()) -> str:
    """One page for these reports, at least one. files: the name of each, to be told apart by."""
    articles = _articles(reports, files, drawn=True)
    style, script = _asset("page.css"), _asset("page.js")
    return _environment().get_template("page.html").render(
        articles=articles,
        labels=list(dict.fromkeys(fact.label for one in articles for fact in one.facts)),
        title=_title(articles),
        style=Markup(style),
        script=Markup(script),
        policy=policy(style, script),
        unique=itertools.count(1).__next__,
    )  # fmt: skip


def policy(style: str, script: str) -> str:
    """Nothing but this style sheet, this script, and pictures that are part of the file."""
    return "; ".join((
        "default-src 'none'",
        f"style-src '{_hash(style)}'",
        f"script-src '{_hash(script)}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ))  # fmt: skip


def markdown(reports: Sequence[Report], files: Sequence[str] = ()) -> str:
    """The same for a pull request: findings and a few tables, in GitHub's Markdown."""
    articles = _articles(reports, files, drawn=False)
    return finished([_markdown_environment().get_template("report.md").render(one=one)
                     for one in articles])  # fmt: skip


def _articles(reports: Sequence[Report], files: Sequence[str], *, drawn: bool) -> list[Article]:
    names = [*files, *[""] * (len(reports) - len(files))]
    return [
        article(one, find(one), decision_of(one), name, drawn=drawn)
        for one, name in zip(reports, names, strict=True)
    ]


def _title(articles: Sequence[Article]) -> str:
    return articles[0].run if len(articles) == 1 else count(len(articles), "run")


@cache
def _asset(name: str) -> str:
    return TEMPLATES.joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


@cache
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["n"] = short
    found.filters["counted"] = partial(count, noun="row")
    found.filters["linked"] = linked
    found.filters["mark"] = MARKS.__getitem__
    return found


@cache
def _markdown_environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=False,  # Markdown is escaped by its own rule, `finalize`, not by that of HTML
        finalize=escaped_or_ready,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"linked": linked_markdown, "mark": MARKS.__getitem__, "table": table_of}
    found.filters["inhtml"] = in_html
    return found


def linked(text: str) -> Markup:
    """`text` escaped, with arXiv and DOI identifiers as links that a person may follow, and what
    stands between backticks as code."""
    shown = re.sub(ARXIV, r'<a href="https://arxiv.org/abs/\1" rel="noreferrer">arXiv:\1</a>',
                   str(escape(text)))  # fmt: skip
    shown = re.sub(DOI, r'<a href="https://doi.org/\1" rel="noreferrer">doi:\1</a>', shown)
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", shown))
