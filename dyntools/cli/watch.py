"""dyntools watch PATH: a live view of a journal that a training is writing.

Nothing is locked and nothing is written; what is new is read at each look (`following`). Off a
terminal, or on one that cannot move its cursor, one frame is printed.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from dyntools.cli import terminal
from dyntools.errors import ReportError, UsageError, nearest

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

    from dyntools.cli.following import Following
    from dyntools.report import Report
    from dyntools.views.live_layers import Order

EVERY = 2.0  # seconds between looks; chosen
SHARE = 0.2  # of one core at most: a journal that takes long is looked at more seldom; chosen
OF_ENDED = ("unfinished",)  # rules that take the last step for the end of the run


def command(
    path: Annotated[Path, typer.Argument(metavar="JOURNAL", help="Of a recorder, or a report.")],
    layer: Annotated[
        str | None, typer.Option("--layer", metavar="GLOB", help="Only layers like this.")
    ] = None,
    sort: Annotated[
        str,
        typer.Option("--sort", metavar="BY", help="concern, model, or a metric of layers."),
    ] = "concern",
    reverse: Annotated[bool, typer.Option("--reverse", help="The other way round.")] = False,
    every: Annotated[
        float, typer.Option("--every", metavar="SECONDS", help="Between looks.")
    ] = EVERY,
    once: Annotated[bool, typer.Option("--once", help="Print one frame and leave.")] = False,
) -> None:
    """Watch a training through its journal: losses, gauges, findings, and the layers of concern.

    It waits for a journal that is not there yet, and follows one that is begun anew. Ctrl-C leaves,
    with code 0; the last frame stays.

    Example: dyntools watch live.jsonl --layer '*attn*' --sort layer_rotation
    """
    from dyntools.cli.following import Following

    if not 0.1 <= every < float("inf"):
        raise UsageError("--every takes 0.1 seconds or more.", found=f"{every:g}")
    order = _order(sort, reverse, layer)
    following = Following(path)
    console = terminal.stdout()
    if once or not console.is_terminal or console.is_dumb_terminal:
        _print_one(following, order, console)
    else:
        _follow(following, order, console, every)


def _order(sort: str, reverse: bool, layer: str | None) -> Order:
    from dyntools.metrics import METRICS
    from dyntools.views.live_layers import CONCERN, MODEL, Order

    known = [CONCERN, MODEL, *(metric.name for metric in METRICS if metric.dims == ("layer",))]
    if sort not in known:
        raise UsageError(
            f"Layers cannot be sorted by {sort!r}.", remedy=f"--sort {nearest(sort, known)}"
        )
    return Order(sort, reverse, layer)


def _print_one(following: Following, order: Order, console: Console) -> None:
    following.look()
    if following.report is None:
        what = "There is no journal here." if not following.there else "The journal is empty."
        raise ReportError(what, where=str(following.path), remedy="without --once watch waits")
    _check_layers(following.report, order)
    console.print(_frame(following, order, None))


def _check_layers(report: Report, order: Order) -> None:
    """A pattern that fits nothing is a mistake in one frame, and may fit later in a live view."""
    from dyntools.views.selection import like, no_such_layer

    known = {str(x) for series in report.series.values() for x in series.coords.get("layer", ())}
    if order.layers is not None and known and not any(like(x, order.layers) for x in known):
        raise no_such_layer(order.layers, report.series.values())


def _follow(following: Following, order: Order, console: Console, every: float) -> None:
    """Frames on a screen of their own until Ctrl-C; the last is left on the usual one."""
    from rich.live import Live

    last: RenderableType = ""
    try:
        with (
            _terminating(),
            Live(console=console, screen=True, auto_refresh=False, redirect_stderr=False) as live,
            _suspending(live),
        ):
            size, drawn = None, 0.0
            while True:
                started = time.monotonic()
                changed = following.look()
                # Also where nothing came: the terminal may have another size, or silence be told.
                if changed or console.size != size or started - drawn >= max(1.0, every):
                    size, drawn = console.size, started
                    last = _frame(following, order, size.height)
                    live.update(last, refresh=True)
                took = time.monotonic() - started
                time.sleep(max(every, took * (1 / SHARE - 1)))
    except KeyboardInterrupt:
        if following.report is not None:
            console.print(_frame(following, order, None))


def _frame(following: Following, order: Order, height: int | None) -> RenderableType:
    from dyntools import findings
    from dyntools.views import live_frame

    report = following.report
    if report is None:
        return live_frame.waiting(str(following.path))
    state = live_frame.State(following.there, following.finished, following.quiet, order)
    found = findings.find(report)
    if not following.finished:
        found = tuple(one for one in found if one.rule not in OF_ENDED)
    return live_frame.frame(report, found, state, height)


@contextmanager
def _terminating() -> Iterator[None]:
    """SIGTERM and SIGHUP as an exception, so that the terminal is put back as it was."""

    def terminated(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, terminated) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _suspending(live: Live) -> Iterator[None]:
    """Ctrl-Z shows the usual screen to the shell, and `fg` comes back to this one."""

    def suspended(number: int, frame: FrameType | None) -> None:
        live.stop()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, suspended)  # here the process goes on
        live.start(refresh=True)

    before = signal.signal(signal.SIGTSTP, suspended)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, before)
