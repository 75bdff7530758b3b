"""The processes of torchrun as the command line meets them: the first talks, one tells what failed.

All of them run the same command. What the first prints is printed; of an error, by whichever meets
it first, one message. Nothing here imports torch until something has failed.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import NoReturn


def several() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_first() -> bool:
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def one_voice() -> Iterator[None]:
    """Neither results nor progress nor words from any process but the first."""
    if not several() or is_first():
        yield
        return
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def may_speak() -> bool:
    """Whether this process is the first that has an error to tell; asked once, before telling."""
    if not several():
        return True
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun ends all: not before this is told
    from dyntools.ranks import speaks

    return speaks()


def end(code: int) -> NoReturn:
    """Leave at once: cleaning up would wait for the others, and say more than was said."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
