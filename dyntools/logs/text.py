"""Text as logs hold it: the first kilobytes for recognising, and whole lines for reading.

A last line without its line end may have been cut anywhere, and "0.12" may have been "0.1234";
it is therefore not among the whole lines. A power cut leaves NUL bytes where text was to be, and
what stands beside them may be torn as well: such lines are left out and noted.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from dyntools.logs.points import plural

HEAD = 64 * 1024  # nanoGPT prints its configuration and its model before the first loss
LONGEST = 16 * 1024**2  # bytes of a first line, which may be a whole configuration; chosen
SAMPLE = 1024  # characters that tell a text from a binary; chosen
NUL = "\0"
RUN_OF_NUL = re.compile("\0+")
TORN = "the last line has no line end (still being written, or cut) and was skipped"


def head(path: Path, size: int = HEAD) -> bytes:
    """The first bytes of a file, nothing for what is no file."""
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(size)


def head_lines(path: Path) -> list[str]:
    """The first line and those in `HEAD` bytes behind it, uncut, without NUL; none in a binary."""
    start = _text(head(path))
    if not start or _is_binary(start):
        return []
    with path.open("rb") as file:
        first, more = file.readline(LONGEST), file.read(HEAD)
    lines = _text(first + more).splitlines()
    return [line for line in (lines[:-1] if len(more) == HEAD else lines) if NUL not in line]


def opened(path: Path) -> TextIO:
    """The file as text, whatever its line ends; bytes that are no text become a mark."""
    return path.open(encoding=_encoding(head(path, 4)), errors="replace")


def whole_lines(path: Path, notes: list[str]) -> Iterator[str]:
    """All lines but those with NUL bytes and a torn last one, for which notes are added."""
    damaged = 0
    with opened(path) as file:
        for line in file:
            if NUL in line:
                damaged += 1
            elif line.endswith("\n"):
                yield line
            else:
                notes.append(TORN)
    if damaged:
        notes.append(f"{plural(damaged, 'line')} with NUL bytes, as a power cut leaves, skipped")


def _text(start: bytes) -> str:
    return start.decode(_encoding(start), errors="replace")


def _is_binary(text: str) -> bool:
    """Whether most of the beginning is no text; however many NUL bytes in a row count as one."""
    sample = RUN_OF_NUL.sub(NUL, text)[:SAMPLE]
    odd = sum(not (c.isprintable() or c.isspace() or c == "\x1b") or c == "\ufffd" for c in sample)
    return 2 * odd > len(sample)


def _encoding(start: bytes) -> str:
    """UTF-8, or UTF-16 where PowerShell redirected the output; a byte order mark is dropped."""
    utf16 = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return "utf-16" if utf16 else "utf-8-sig"
