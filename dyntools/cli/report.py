"""dyntools report REPORT…: one HTML page of reports, or Markdown for a pull request."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dyntools.cli import terminal
from dyntools.errors import ReportError, UsageError
from dyntools.whole_file import write_whole


class Format(StrEnum):
    """What is written."""

    html = "html"
    markdown = "markdown"


ENDINGS = {".html": Format.html, ".htm": Format.html, ".md": Format.markdown}


def command(
    report_paths: Annotated[
        list[Path], typer.Argument(metavar="REPORT…", help="Reports (.h5) or journals.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Default: REPORT.html; of Markdown: stdout."
        ),
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option("--format", help="Default: what FILE ends in, else html."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an earlier page.")] = False,
) -> None:
    """Write a report as one HTML page that needs no network, or as Markdown.

    Several reports: a table of all, and below it a part for each.

    Example: dyntools report run.h5 -o run.html
    """
    from dyntools import gathering, page

    chosen = form or (ENDINGS.get(output.suffix.lower()) if output else None) or Format.html
    target = output
    if target is None and chosen is Format.html:
        target = Path(report_paths[0].name).with_suffix(".html")
    if target is not None:
        _check(target, report_paths, force=force)
    reports = [gathering.read(path) for path in report_paths]
    files = [path.name for path in report_paths]
    text = (page.markdown if chosen is Format.markdown else page.html)(reports, files)
    if target is None:
        typer.echo(text, nl=False)
    else:
        _write(text, target)
        told = f"wrote {target}: {len(text.encode('utf-8')) / 1e6:.2f} MB"
        terminal.stdout().print(told, soft_wrap=True, markup=False)


def _check(target: Path, reports: list[Path], *, force: bool) -> None:
    """Before anything is read: a page never replaces a report, and a file only with --force."""
    if any(target.resolve() == path.resolve() for path in reports):
        raise UsageError(
            "The page would replace its own report.",
            where=str(target),
            remedy="another name: -o report.html",
        )
    if target.is_dir():
        raise UsageError("This is a folder.", where=str(target), remedy="-o report.html")
    if target.exists() and not force:
        raise ReportError("There is a file already.", where=str(target), remedy="--force")


def _write(text: str, target: Path) -> None:
    try:
        write_whole(target, text.encode())
    except OSError as error:
        raise ReportError(
            "The page cannot be written there.",
            where=str(target),
            found=str(error),
            remedy="-o FILE.html, in a folder that may be written",
        ) from error
