"""What a module of a format offers, and which format a path is in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from dyntools.checkpoint import Checkpoint
from dyntools.errors import CheckpointError


class Format(Protocol):
    """A module with a name, a look at content that is cheap, and a reader."""

    @property
    def NAME(self) -> str: ...

    def recognises(self, path: Path) -> bool: ...

    def open(self, path: Path, *, mmap: bool = True) -> Checkpoint: ...


def format_of(path: Path, formats: Sequence[Format]) -> Format | None:
    """The first format that recognises a path."""
    try:
        return next((format for format in formats if format.recognises(path)), None)
    except OSError as error:
        raise CheckpointError(
            "the path cannot be read", where=str(path), found=str(error)
        ) from error


def open_as(format: Format, path: Path, *, mmap: bool) -> Checkpoint:
    """The checkpoint of a path in a known format; every error says where."""
    try:
        return format.open(path, mmap=mmap)
    except CheckpointError as error:
        if error.where is not None:
            raise
        raise CheckpointError(
            error.what, where=str(path), found=error.found, remedy=error.remedy
        ) from error
    except OSError as error:
        raise CheckpointError(
            "the path cannot be read", where=str(path), found=str(error)
        ) from error
