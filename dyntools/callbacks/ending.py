"""Ending: something to be done however a process ends, short of kill -9."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def on_ending(act: Callable[[], None]) -> Iterator[None]:
    """`act` at the exit of the interpreter, and at SIGTERM where nobody else handles it.

    Only in this process: those forked from it, such as workers that load data, inherit the handler
    and are ended by SIGTERM as a matter of course.
    """
    owner = os.getpid()

    def ended() -> None:
        if os.getpid() == owner:
            act()

    atexit.register(ended)
    mine = threading.current_thread() is threading.main_thread()
    mine = mine and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    def terminated(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        ended()
        os.kill(os.getpid(), number)

    if mine:
        signal.signal(signal.SIGTERM, terminated)
    try:
        yield
    finally:
        atexit.unregister(ended)
        if mine and signal.getsignal(signal.SIGTERM) is terminated:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
