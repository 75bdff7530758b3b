"""The two consoles: data on stdout, progress and words about the work on stderr."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dyntools.views.fitted import PLAIN_WIDTH

if TYPE_CHECKING:
    from dyntools.meter import Progress as Report


class _Console(Console):
    """rich would leave with status 1 on a broken pipe, which means that a check failed."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def stdout() -> Console:
    """Where results go. Plain text of a fixed width when it is not a terminal."""
    if sys.stdout.isatty():
        return _Console()
    return _Console(width=plain_width(), force_terminal=False, highlight=False)


def plain_width() -> int:
    """Columns of a table that is no terminal's; COLUMNS, if it is set."""
    return shutil.get_terminal_size((PLAIN_WIDTH, 0)).columns


def say(text: str) -> None:
    """A sentence about the work, on stderr."""
    print(text, file=sys.stderr)


@contextmanager
def progress_bar() -> Iterator[Report | None]:
    """A bar with the remaining time, as a function (what, done, total); None off a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description:<18}"),
        BarColumn(bar_width=None),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading", total=1)
        yield lambda what, done, total: bar.update(
            task, description=what, completed=done, total=total
        )
