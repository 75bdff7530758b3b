"""JSON lines: one object a line, as most hand-written training loops and several trainers write.

Nested objects are flattened with "/". A line that is no object (torn by a kill, or mixed with
other output) is skipped and counted; an object is complete even where the last line end is missing,
or where the NUL bytes of a power cut stand beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from dyntools.log import Log
from dyntools.logs.points import Points, plural
from dyntools.logs.rows import add_rows, looks_logged, number
from dyntools.logs.text import NUL, TORN, head_lines, opened

JOURNAL = "journal"  # the name that the first object of our own journal has


def recognises(path: Path) -> bool:
    """Whether most lines are JSON objects and one of them looks logged.

    A lone object in a ".json" file is a configuration; our own journal is no log of a training.
    """
    lines = [line for line in head_lines(path) if line.strip()]
    if not any(line.lstrip().startswith("{") for line in lines):
        return False
    rows = [row for line in lines if (row := _object(line)) is not None]
    if 2 * len(rows) < len(lines) or (path.suffix == ".json" and len(rows) < 2):
        return False
    if JOURNAL in rows[0]:
        return False
    numbers = ([n for n, raw in flat(row).items() if number(raw) is not None] for row in rows)
    return any(map(looks_logged, numbers))


def is_journal(path: Path) -> bool:
    """Whether this is our own journal."""
    lines = head_lines(path)[:1]
    return any(JOURNAL in (_object(line) or {}) for line in lines)


def open(path: Path) -> Log:
    """Every number of every object, under its name."""
    points, notes = Points(), list[str]()
    add_rows(points, _rows(path, notes))
    return points.log(path.name, "jsonl", notes)


def flat(row: Mapping[str, object]) -> Mapping[str, object]:
    """{"train": {"loss": 1}} → {"train/loss": 1}."""
    if dict not in map(type, row.values()):
        return row
    result: dict[str, object] = {}
    pending = [("", row)]
    while pending:
        prefix, part = pending.pop()
        for name, value in part.items():
            if isinstance(value, dict):
                pending.append((f"{prefix}{name}/", value))
            else:
                result[prefix + name] = value
    return result


def _rows(path: Path, notes: list[str]) -> Iterator[Mapping[str, object]]:
    bad, first, torn = 0, 0, False
    with opened(path) as file:
        for place, line in enumerate(file, 1):
            row = _object(line)
            if row is not None:
                yield flat(row)
            elif not line.endswith("\n"):
                torn = True
            elif line.strip():
                bad, first = bad + 1, first or place
    if bad:
        notes.append(f"{plural(bad, 'line')} that hold no JSON object skipped, first line {first}")
    if torn:
        notes.append(TORN)


def _object(line: str) -> dict[str, object] | None:
    try:
        value = json.loads(line.strip().strip(NUL))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
