"""Errors that a person can act on: what went wrong, where, what was found, what to do about it.

Every error of use or of data is a `DyntoolsError`; the command line prints its sentences and exits
with `exit_code`. A traceback is therefore always a bug of ours. Numerical failure is no exception:
it is a NaN with a `Status` (see `measurement`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

USE_OR_DATA_ERROR = 2


class DyntoolsError(Exception):
    """What happened, with the place, the thing found there, and the remedy, each one sentence."""

    exit_code = USE_OR_DATA_ERROR

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        found: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.what, self.where, self.found, self.remedy = what, where, found, remedy
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        for label, text in (("in", self.where), ("found", self.found), ("try", self.remedy)):
            if text:
                lines.append(f"  {label}: {text}")
        return "\n".join(lines)


class UsageError(DyntoolsError):
    """The request itself cannot be met: an unknown name, an impossible setting."""


class CheckpointError(DyntoolsError):
    """A checkpoint cannot be read, or asks for code to be run."""


class LogError(DyntoolsError):
    """A training log cannot be read."""


class ProblemError(DyntoolsError):
    """A problem cannot be loaded, does not fit the checkpoint, or has no usable derivatives."""


class ReportError(DyntoolsError):
    """A report or journal is missing, damaged, from another version, or in the way."""


def nearest(wanted: str, available: Iterable[str], most: int = 5) -> str:
    """`available` as one line, those that look like `wanted` first."""
    names = sorted(set(available))
    close = difflib.get_close_matches(wanted, names, n=most, cutoff=0.4)
    rest = [name for name in names if name not in close]
    shown = (close + rest)[:most]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" … and {more} more" if more > 0 else "")
