"""Text as logs hold it: the first kilobytes for recognising, and whole lines for reading.

A last line without its line end may have been cut anywhere, and "0.12" may have been "0.1234";
it is therefore not among the whole lines.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

HEAD = 64 * 1024  # nanoGPT prints its configuration and its model before the first loss
TORN = "the last line has no line end (still being written, or cut) and was skipped"


def head(path: Path, size: int = HEAD) -> bytes:
    """The first bytes of a file, nothing for what is no file."""
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(size)


def head_lines(path: Path) -> list[str]:
    """The lines at the beginning of a text file, without those cut by `HEAD`; none in a binary."""
    start = head(path)
    text = start.decode(_encoding(start), errors="replace")
    if "\0" in text:
        return []
    lines = text.splitlines()
    return lines[:-1] if len(start) == HEAD else lines


def opened(path: Path) -> TextIO:
    """The file as text, whatever its line ends; bytes that are no text become a mark."""
    return path.open(encoding=_encoding(head(path, 4)), errors="replace")


def whole_lines(path: Path, notes: list[str]) -> Iterator[str]:
    """All lines but a torn last one, for which a note is added."""
    with opened(path) as file:
        for line in file:
            if line.endswith("\n"):
                yield line
            else:
                notes.append(TORN)


def _encoding(start: bytes) -> str:
    """UTF-8, or UTF-16 where PowerShell redirected the output; a byte order mark is dropped."""
    utf16 = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return "utf-16" if utf16 else "utf-8-sig"
