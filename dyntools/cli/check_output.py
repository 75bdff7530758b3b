"""Where the outcome of a check goes: stdout in a format, a file, the summary of a GitHub step."""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from dyntools.cli import terminal
from dyntools.errors import UsageError

if TYPE_CHECKING:
    from dyntools.views.check_words import Judged


class Format(StrEnum):
    """What `--format` takes."""

    rich = "rich"
    plain = "plain"
    json = "json"
    markdown = "markdown"
    github = "github"
    junit = "junit"


def deliver(judged: Judged, chosen: Format | None, output: Path | None) -> None:
    """Print the outcome, write it to `output`, and fill the summary of a GitHub step.

    With `output` the chosen format goes to the file, and stdout has what it has without --format.
    Raises UsageError where the file cannot be written; by then the outcome has been printed.
    """
    if chosen is None or output is not None:
        _default(judged)
    else:
        _show(judged, chosen)
    _summarise(judged)
    if output is not None:
        _write(_text(judged, Format.plain if chosen in (None, Format.rich) else chosen), output)


def on_github() -> bool:
    """Whether this is a step of GitHub Actions, which sets this variable to `true`."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def _default(judged: Judged) -> None:
    """The table; on GitHub behind its annotations."""
    if on_github():
        from dyntools.views import check_github

        _print("".join(f"{line}\n" for line in check_github.workflow_commands(judged)))
    _show(judged, Format.rich)


def _show(judged: Judged, chosen: Format) -> None:
    from dyntools.views import check_github, check_table

    if chosen is Format.rich and not on_github():
        check_table.show(terminal.stdout(), judged)
    elif chosen in (Format.rich, Format.plain) and on_github():
        _print(check_github.fenced(_text(judged, Format.plain)))
    else:
        _print(_text(judged, chosen))


def _text(judged: Judged, chosen: Format) -> str:
    """The outcome in a format, as text that ends with a line feed."""
    from dyntools.views import check_github, check_json, check_junit, check_markdown, check_table
    from dyntools.views.check_words import last_line
    from dyntools.views.names import printable

    if chosen is Format.json:
        return json.dumps(check_json.to_json(judged), indent=1, allow_nan=False) + "\n"
    if chosen is Format.markdown:
        return check_markdown.markdown(judged)
    if chosen is Format.junit:
        return check_junit.junit(judged)
    if chosen is Format.github:
        lines = check_github.workflow_commands(judged)
        return "".join(f"{line}\n" for line in (*lines, printable(last_line(judged))))
    return check_table.plain(judged, terminal.plain_width())


def _print(text: str) -> None:
    """To stdout, with what its encoding lacks replaced."""
    from dyntools.views.fitted import encodable

    print(encodable(text, sys.stdout.encoding or "utf-8"), end="", flush=True)


def _summarise(judged: Judged) -> None:
    """Append to the summary of the step, within what GitHub takes of one step."""
    place = os.environ.get("GITHUB_STEP_SUMMARY")
    if not place:
        return
    from dyntools.views import check_github, check_markdown

    try:
        with open(place, "ab") as file:
            room = check_github.SUMMARY_LIMIT - file.tell()
            file.write(check_github.summary(check_markdown.markdown(judged), room).encode())
    except OSError as error:
        terminal.say(f"dyntools: the summary of the step could not be written: {error}")


def _write(text: str, output: Path) -> None:
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(
            "The outcome could not be written.",
            where=str(output),
            found=str(error),
            remedy="another file with --output",
        ) from error
