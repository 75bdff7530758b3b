"""Gathering: the records of a journal, taken one by one, as a report at any time.

A journal may be that of an analysis, or of a live recorder that is still writing; either is read
like a sealed report (`read`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dyntools import hdf5, journal
from dyntools.assembly import series_of
from dyntools.errors import ReportError
from dyntools.journal import Row
from dyntools.log import Curve, Log, with_roles
from dyntools.report import CheckpointRow, Report


def report_of_journal(path: Path) -> Report:
    """Everything a journal holds. Later lines replace earlier ones of the same metric and step.

    Each line stands for itself: a damaged one is skipped and counted; --resume measures it anew.
    """
    gathered = Gathered(str(path))
    for record in journal.read(path):
        gathered.take(record)
    return gathered.report()


class Gathered:
    """The records of a journal, taken one by one; a report of those so far at any time."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._header: Mapping[str, Any] = {}
        self._rows: dict[str, dict[int, Row]] = {}
        self._checkpoints: dict[str, CheckpointRow] = {}
        self._points: dict[str, dict[int, tuple[float, float]]] = {}
        self._log: Log | None = None
        self._notes: list[str] = []
        self._damaged = 0

    def take(self, record: journal.Record) -> None:
        """One record; one that does not hold what its kind should is counted as damaged."""
        try:
            kind = record["kind"]
            if kind == "header":
                self._header = record
            elif kind == "measurement":
                row = journal.decode_row(record)
                self._rows.setdefault(row.metric, {})[row.step] = row
            elif kind == "checkpoint":
                fields = {key: value for key, value in record.items() if key != "kind"}
                self._checkpoints[record["path"]] = CheckpointRow(**fields)
            elif kind == "log":
                self._log = journal.decode_log(record)
            elif kind == "scalars":
                for name, value in record["values"].items():
                    at = self._points.setdefault(str(name), {})
                    at[int(record["step"])] = (float(value), float(record["time"]))
            elif kind == "note":
                self._notes.append(record["sentence"])
            self._damaged += kind == "damaged"
        except (KeyError, TypeError, ValueError, AttributeError):
            self._damaged += 1

    def report(self) -> Report:
        """Raises ReportError before the header has been taken."""
        if not self._header:
            raise ReportError("The journal is empty: nothing was finished.", where=self.source)
        notes = list(self._notes)
        if self._damaged:
            notes.append(f"damaged lines of the journal that were skipped: {self._damaged}")
        series = {}
        for entry in self._header["plan"]:
            if of_metric := self._rows.get(entry["metric"]):
                series[entry["metric"]] = series_of(entry, list(of_metric.values()))
        return Report(
            attributes=self._header["attributes"],
            series=series,
            checkpoints=tuple(self._checkpoints.values()),
            log=live_log(self._points, self.source) if self._points else self._log,
            notes=tuple(dict.fromkeys(notes)),
        )


def live_log(points: Mapping[str, Mapping[int, tuple[float, float]]], source: str) -> Log:
    """The scalars of a training loop, name → step → (value, seconds since 1970), as a log."""
    curves = {}
    for name, at in points.items():
        steps = sorted(at)
        values, wall = (np.array([at[step][i] for step in steps]) for i in (0, 1))
        curves[name] = Curve(name, np.array(steps, np.int64), values, "step", wall, source)
    return with_roles(Log((source,), ("live",), curves, {}, ()))


def read(path: str | Path) -> Report:
    """A report from its sealed file, or from a journal that is being written."""
    path = Path(path)
    return report_of_journal(path) if is_journal(path) else hdf5.read(path)


def is_journal(path: Path) -> bool:
    """Whether a file begins as a journal does."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(journal.BEGINNING)) == journal.BEGINNING
