"""Following: a journal that another process writes, read from where the last look ended.

Each look opens the file, compares its first line with the one known, and reads whole lines from
there on, so that it costs what is new. A first line that differs, or a file that became shorter, is
a recording begun anew, which is read from its start. Opening, and not the time of the last change,
is what makes network file systems tell the present size.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from dyntools import gathering, hdf5, journal
from dyntools.errors import ReportError
from dyntools.report import Report


class Following:
    """`look` as often as wished; `report` is what has been read so far, None before a header.

    Never takes the lock of the journal. quiet: seconds since the file last grew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.there = False
        self.finished = False
        self._changed = time.time()
        self._forget()

    def _forget(self) -> None:
        self.finished = False
        self._gathered = gathering.Gathered(str(self.path))
        self._first, self._offset, self._lines = b"", 0, 0
        self._sealed: tuple[int, int] | None = None
        self._report: Report | None = None
        self._stale = False

    @property
    def quiet(self) -> float:
        """Seconds since the file last grew, by the clock of the file server; never negative."""
        return max(time.time() - self._changed, 0.0)

    @property
    def report(self) -> Report | None:
        """All that was read, put together when it is asked for."""
        if self._stale and self._lines:
            self._report, self._stale = self._gathered.report(), False
        return self._report

    def look(self) -> bool:
        """Read what is new; whether there is anything. Raises ReportError for no journal."""
        if self.path.is_dir():
            raise ReportError(
                "A journal is a file, and this is a folder.",
                where=str(self.path),
                remedy=", ".join(map(str, sorted(self.path.glob("*.jsonl"))[:5])) or None,
            )
        was_there = self.there
        try:
            file = open(self.path, "rb")  # noqa: SIM115
        except PermissionError:
            raise
        except OSError:  # not there, not yet, or a share that is gone for a moment
            self.there = False
            return was_there
        with file:
            self.there = True
            return self._read(file) or not was_there

    def _read(self, file: IO[bytes]) -> bool:
        size = file.seek(0, 2)
        file.seek(0)
        beginning = file.read(max(len(self._first), len(journal.BEGINNING)))
        if size < self._offset or not beginning.startswith(self._first):
            self._forget()
        if not self._first and not beginning.startswith(journal.BEGINNING):
            if journal.BEGINNING.startswith(beginning):
                return False  # the first line is being written
            return self._read_sealed(file)
        before = self._lines
        file.seek(self._offset)
        for record in journal.records(self._whole_lines(file), self.path, self._lines):
            self._gathered.take(record)
            self.finished = record["kind"] == "finished"
        if self._lines > before:
            self._changed = _time_of(file)
            self._stale = True
        return self._lines > before

    def _whole_lines(self, file: IO[bytes]) -> Iterator[bytes]:
        for line in file:
            if not line.endswith(b"\n"):
                return
            self._first = self._first or line
            self._offset += len(line)
            yield line
            self._lines += 1

    def _read_sealed(self, file: IO[bytes]) -> bool:
        """A report in HDF5, which does not grow but may be replaced."""
        info = os.fstat(file.fileno())
        mark = info.st_ino, info.st_mtime_ns
        if mark == self._sealed:
            return False
        self._report = hdf5.read(self.path)  # raises for what is neither
        self._sealed, self.finished, self._changed = mark, True, info.st_mtime
        return True


def _time_of(file: IO[bytes]) -> float:
    return os.fstat(file.fileno()).st_mtime
