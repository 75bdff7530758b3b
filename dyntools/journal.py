"""Journal: the append-only file that a running analysis or a live recorder writes.

One JSON object a line, flushed as it is written, so that whatever ends the process (Ctrl-C, kill
-9, a full disk) leaves all finished work readable; a torn last line is ignored. Arrays are base64
of little-endian float64, which keeps every bit and is shorter than decimal text.

Lines, by their `kind`:
    header        journal version, provenance, and the plan: one entry per metric
    checkpoint    what became of one checkpoint
    log           the training log that the analysis saw
    note          one sentence
    measurement   one metric at one step
    scalars       what a live training loop logged at one step: name → number
    finished      the last line of an undisturbed run
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dyntools.errors import ReportError
from dyntools.log import Curve, Log, Role
from dyntools.measurement import Measurement
from dyntools.report import CheckpointRow

JOURNAL_VERSION = 1
BEGINNING = b'{"kind": "header"'  # of every journal
Record = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Row:
    """One measurement with where it belongs and what it cost."""

    metric: str
    step: int
    seconds: float
    measurement: Measurement


class Journal:
    """An open journal. Use as a context manager; every `write` is one whole line."""

    def __init__(self, path: Path, *, append: bool = False) -> None:
        self.path = path
        # Unbuffered: a line is with the system at once, and closing has nothing left to fail at.
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        self._file = open(handle, "r+b", buffering=0)  # noqa: SIM115
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise ReportError(
                "Another dyntools is writing this report.",
                where=str(path),
                remedy="wait for it, or another path with -o",
            ) from error
        whole = _whole_lines(path) if append else 0
        self._file.truncate(whole)
        self._file.seek(whole)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # every line was taken; only a power cut now could lose one
            os.fsync(self._file.fileno())
        self._file.close()

    def write(self, kind: str, **fields: object) -> None:
        """Append one record. Raises ReportError when the disk does not take it."""
        line = memoryview(json.dumps({"kind": kind, **fields}).encode() + b"\n")
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError as error:
            raise ReportError(
                "The journal could not be written; what it holds so far is kept.",
                where=str(self.path),
                found=str(error),
                remedy="free some space, then the same command with --resume",
            ) from error

    def header(self, attributes: Mapping[str, object], plan: list[Record]) -> None:
        """The first line: provenance and the metrics that will follow."""
        self.write("header", journal=JOURNAL_VERSION, attributes=dict(attributes), plan=plan)

    def checkpoint(self, row: CheckpointRow) -> None:
        self.write("checkpoint", **asdict(row))

    def log(self, log: Log) -> None:
        self.write("log", **encode_log(log))

    def note(self, sentence: str) -> None:
        self.write("note", sentence=sentence)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        # JSON of its own has no NaN, Python's has; both ends are Python's.
        self.write("scalars", step=step, time=time.time(), values=dict(values))

    def measurement(self, row: Row) -> None:
        self.write("measurement", **encode_row(row))


def read(path: Path) -> Iterator[Record]:
    """The whole lines of a journal, header first; a damaged line between is of kind `damaged`.

    Raises ReportError when the file is no journal or comes from a newer dyntools.
    """
    with open(path, "rb") as file:
        yield from records(file, path)


def records(lines: Iterable[bytes], path: Path, first: int = 0) -> Iterator[Record]:
    """The records of lines, the first of which is line `first` of the journal; as `read` does."""
    for number, line in enumerate(lines, first):
        if not line.endswith(b"\n"):
            return
        try:
            record = json.loads(line)
            kind = record["kind"]
        except (ValueError, TypeError, KeyError) as error:
            if number:
                yield {"kind": "damaged", "line": number + 1}
                continue
            raise _not_a_journal(path, "a first line that is no record") from error
        if number == 0:
            _check_header(path, record, kind)
        yield record


def _check_header(path: Path, record: Record, kind: object) -> None:
    parts = record.get("journal"), record.get("attributes"), record.get("plan")
    kinds = int, dict, list
    if kind != "header" or not all(map(isinstance, parts, kinds)):
        raise _not_a_journal(path, f"a first line of kind {kind!r}")
    if record["journal"] > JOURNAL_VERSION:
        raise ReportError(
            "This journal was written by a newer dyntools.",
            where=str(path),
            found=f"journal version {record['journal']}, this dyntools reads {JOURNAL_VERSION}",
            remedy="python -m pip install --upgrade dyntools",
        )


def _not_a_journal(path: Path, found: str) -> ReportError:
    return ReportError(
        "This file is not a dyntools journal.",
        where=str(path),
        found=found,
        remedy="give another output path with -o, or start over with --force",
    )


def _whole_lines(path: Path) -> int:
    """Bytes up to the end of the last whole line."""
    content = path.read_bytes()
    return content.rfind(b"\n") + 1


def encode_array(array: NDArray[np.float64]) -> Record:
    data = np.ascontiguousarray(array, dtype="<f8").tobytes()
    return {"shape": list(array.shape), "f8": base64.b64encode(data).decode()}


def decode_array(record: Mapping[str, Any]) -> NDArray[np.float64]:
    data = np.frombuffer(base64.b64decode(record["f8"]), dtype="<f8")
    return data.reshape(record["shape"]).astype(np.float64)


def encode_row(row: Row) -> Record:
    found = row.measurement
    return {
        "metric": row.metric,
        "step": row.step,
        "seconds": row.seconds,
        "dims": list(found.dims),
        "coords": {dim: list(labels) for dim, labels in found.coords.items()},
        "values": encode_array(found.values),
        "error": None if found.error is None else encode_array(found.error),
        "status": found.status.tolist(),
        "beside": {key: encode_array(array) for key, array in found.beside.items()},
        "skipped": dict(found.skipped),
        "method": found.method,
        "matvecs": found.matvecs,
    }


def decode_row(record: Mapping[str, Any]) -> Row:
    error = record["error"]
    values = decode_array(record["values"])
    measurement = Measurement(
        values,
        tuple(record["dims"]),
        {dim: tuple(labels) for dim, labels in record["coords"].items()},
        error=None if error is None else decode_array(error),
        status=np.array(record["status"], dtype=np.int8).reshape(values.shape),
        beside={key: decode_array(array) for key, array in record["beside"].items()},
        skipped=record["skipped"],
        method=record["method"],
        matvecs=record["matvecs"],
    )
    return Row(record["metric"], record["step"], record["seconds"], measurement)


def encode_log(log: Log) -> Record:
    return {
        "sources": list(log.sources),
        "formats": list(log.formats),
        "notes": list(log.notes),
        "roles": {role.value: name for role, name in log.roles.items()},
        "curves": [
            {
                "name": curve.name,
                "steps": curve.steps.tolist(),
                "values": encode_array(curve.values),
                "unit": curve.unit,
                "wall": None if curve.wall is None else encode_array(curve.wall),
                "source": curve.source,
            }
            for curve in log.curves.values()
        ],
    }


def decode_log(record: Mapping[str, Any]) -> Log:
    curves = {
        entry["name"]: Curve(
            name=entry["name"],
            steps=np.array(entry["steps"], dtype=np.int64),
            values=decode_array(entry["values"]),
            unit=entry["unit"],
            wall=None if entry["wall"] is None else decode_array(entry["wall"]),
            source=entry["source"],
        )
        for entry in record["curves"]
    }
    return Log(
        sources=tuple(record["sources"]),
        formats=tuple(record["formats"]),
        curves=curves,
        roles={Role(role): name for role, name in record["roles"].items()},
        notes=tuple(record["notes"]),
    )
