"""Whole file: written whole or not at all, whatever ends the process or the disk in between."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """`content` at `path`, in folders that are made where they are missing.

    A temporary file beside it, fsync, rename. Raises OSError; what was there is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    temporary = Path(name)
    try:
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    """The system tells it only by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
