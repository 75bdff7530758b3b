"""Comma-separated values: Lightning's metrics.csv, W&B and TensorBoard exports, any table by step.

Cells may be empty: Lightning writes several sparse rows a step. A W&B export names its columns
"run - metric" and adds "__MIN" and "__MAX", which are left out; of several runs the one with the
most points is read.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from dyntools.log import Log, listed
from dyntools.logs.points import LIGHTNING, Points, plural
from dyntools.logs.rows import VALUE, add_rows, kind_of, looks_logged, number
from dyntools.logs.text import head_lines, whole_lines

DELIMITERS = ",\t;"
EXPORT = " - "  # W&B: "<run> - <metric>"
EXTREMES = ("__MIN", "__MAX")


def recognises(path: Path) -> bool:
    """Whether the first line names columns that look logged and the second has a number in them."""
    lines = head_lines(path)[:2]
    if len(lines) < 2:
        return False
    names = _names(lines[0])
    cells = _cells(lines[1], _delimiter(lines[0]))
    if len(cells) != len(names) or any(number(name) is not None for name in names):
        return False
    return looks_logged(names) and any(number(cell) is not None for cell in cells)


def open(path: Path) -> Log:
    """Every column of numbers, under its name."""
    notes: list[str] = []
    points = Points()
    rows = list(_rows(path, notes))
    names = list(rows[0]) if rows else []
    if path.name == "metrics.csv" and {"epoch", "step"} <= set(names):
        notes.append(LIGHTNING)
    add_rows(points, _of_one_run(rows, names, notes))
    return points.log(path.name, "csv", notes)


def _rows(path: Path, notes: list[str]) -> Iterator[Mapping[str, str]]:
    lines = whole_lines(path, notes)
    title = next(lines, "")
    names, delimiter, bad = _names(title), _delimiter(title), 0
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        notes.append(f"columns of the same name, of which the last is read: {listed(twice)}")
    try:
        for cells in csv.reader(lines, delimiter=delimiter):
            if len(cells) == len(names):
                yield dict(zip(names, cells, strict=True))
            elif cells:
                bad += 1
    except csv.Error as error:
        notes.append(f"reading ended early: {error}")
    if bad:
        notes.append(f"{plural(bad, 'row')} of another length than the header skipped")


def _of_one_run(
    rows: list[Mapping[str, str]], names: list[str], notes: list[str]
) -> Iterator[Mapping[str, str]]:
    """Rows of a W&B export under the bare names of one run; others as they are."""
    runs = {name: name.rpartition(EXPORT)[0] for name in names if kind_of(name) == VALUE}
    if not runs or not all(runs.values()):
        yield from rows
        return
    counts = Counter(dict.fromkeys(runs.values(), 0))
    for row in rows:
        counts.update(run for name, run in runs.items() if row[name])
    chosen = counts.most_common(1)[0][0]
    if len(counts) > 1:
        notes.append(f"runs found: {listed(counts)}; read is {chosen}, which has the most points")
    wanted = {
        name: name.rpartition(EXPORT)[2] if name in runs else name
        for name in names
        if runs.get(name, chosen) == chosen and not name.endswith(EXTREMES)
    }
    for row in rows:
        yield {short: row[name] for name, short in wanted.items()}


def _names(title: str) -> list[str]:
    return [cell.strip() for cell in _cells(title, _delimiter(title))]


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _delimiter(title: str) -> str:
    return max(DELIMITERS, key=title.count)
