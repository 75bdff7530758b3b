"""MLflow: the table `metrics` of its SQLite store (mlflow.db), or a run's folder in a file store.

Several runs share a database: the one with the most points is read, the others are named; pointing
at `mlflow.db/<run>` reads that one, by name or by the beginning of its identifier. In a file store
(`mlruns/<experiment>/<run>`) every metric is a file of lines "milliseconds value step".
"""

from __future__ import annotations

import math
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from dyntools.errors import LogError, nearest
from dyntools.log import Log, listed
from dyntools.logs.points import Points, plural
from dyntools.logs.rows import number, whole
from dyntools.logs.text import head, whole_lines

SQLITE = b"SQLite format 3\0"
MILLISECONDS = 1000  # in a second
LARGEST = sys.float_info.max  # MLflow stores ±infinity as that, and NaN as 0 with `is_nan` set
COLUMNS = {"key", "value", "timestamp", "run_uuid", "step", "is_nan"}
RUNS = """
    SELECT runs.run_uuid, runs.name, COUNT(*) FROM metrics
    JOIN runs ON runs.run_uuid = metrics.run_uuid
    WHERE runs.lifecycle_stage IS NOT 'deleted'
    GROUP BY runs.run_uuid ORDER BY COUNT(*) DESC, runs.run_uuid"""
METRICS = """
    SELECT key, value, timestamp, step, is_nan FROM metrics
    WHERE run_uuid = ? ORDER BY timestamp, rowid"""


def recognises(path: Path) -> bool:
    """Whether this is a database with MLflow's table of metrics, or a run's folder."""
    if path.is_dir():
        return (path / "metrics").is_dir() and (path / "meta.yaml").is_file()
    database = _database(path)
    if head(database, len(SQLITE)) != SQLITE:
        return False
    try:
        with closing(_connect(database)) as store:
            return {row[1] for row in store.execute("PRAGMA table_info(metrics)")} >= COLUMNS
    except sqlite3.Error:
        return "mlflow" in database.name  # damaged; by its name it is ours to report


def open(path: Path) -> Log:
    """Every metric of one run, under its key."""
    return _open_folder(path) if path.is_dir() else _open_database(path)


def _open_database(path: Path) -> Log:
    points, notes = Points(), list[str]()
    database = _database(path)
    try:
        with closing(_connect(database)) as store:
            runs = store.execute(RUNS).fetchall()
            run = _choose(runs, path, notes)
            for key, value, wall, step, is_nan in store.execute(METRICS, (run,)):
                points.add(str(key), int(step), _value(value, is_nan), wall / MILLISECONDS)
    except (sqlite3.Error, TypeError, ValueError, OverflowError) as error:
        raise LogError(f"the database cannot be read: {error}", where=str(database)) from error
    return points.log(database.name, "mlflow", notes)


def _choose(runs: list[tuple[str, str, int]], path: Path, notes: list[str]) -> str:
    """The identifier of the run to read; the empty one where there are no runs."""
    if not path.exists():
        wanted = path.name
        for run, name, _ in runs:
            if name == wanted or run.startswith(wanted):
                return run
        names = [name or run for run, name, _ in runs]
        raise LogError(
            f"no such run: {wanted!r}", where=str(path.parent), remedy=nearest(wanted, names)
        )
    if len(runs) > 1:
        found = listed(f"{name or run} ({plural(count, 'point')})" for run, name, count in runs)
        notes.append(
            f"runs found: {found}; read is {runs[0][1] or runs[0][0]}, which has the most points; "
            f"point at {path.name}/NAME to read another"
        )
    return runs[0][0] if runs else ""


def _open_folder(path: Path) -> Log:
    points, notes, bad = Points(), list[str](), 0
    folder = path / "metrics"
    for file in sorted(entry for entry in folder.rglob("*") if entry.is_file()):
        for line in whole_lines(file, notes):
            wall, value, step = (*map(number, line.split()[:3]), None, None, None)[:3]
            counted = whole(step)
            if wall is None or value is None or counted is None:
                bad += 1
                continue
            key = file.relative_to(folder).as_posix()
            points.add(key, counted, value, wall / MILLISECONDS)
    if bad:
        notes.append(f"lines other than 'time value step', skipped: {bad}")
    return points.log(path.name, "mlflow", dict.fromkeys(notes))


def _database(path: Path) -> Path:
    """The file in `mlflow.db` or in `mlflow.db/<run>`."""
    return path if path.exists() else path.parent


def _connect(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)


def _value(value: float, is_nan: int) -> float:
    if is_nan:
        return math.nan
    return math.copysign(math.inf, value) if abs(value) >= LARGEST else float(value)
