"""Hugging Face Trainer: `log_history` in trainer_state.json.

Rows of training and of evaluation lie in one list, each with its optimizer step; `grad_norm` is the
norm before clipping. The last row sums up: its `train_loss` is the mean over the run. Every
checkpoint repeats the history up to itself, so of several the one with the largest `global_step`
says all.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from dyntools.errors import LogError
from dyntools.log import Log
from dyntools.logs.points import Points
from dyntools.logs.rows import add_rows
from dyntools.logs.text import head


def recognises(path: Path) -> bool:
    """Whether a JSON object begins with the keys of a TrainerState, which are in sorted order."""
    start = head(path)
    return start.lstrip().startswith(b"{") and b'"log_history"' in start


def open(path: Path) -> Log:
    """Every number of the history, under its name."""
    try:
        state = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise LogError(f"not a complete JSON file: {error}", where=str(path)) from error
    history = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(history, list):
        raise LogError("its log_history is no list", where=str(path))
    rows = [row for row in history if isinstance(row, dict)]
    points = Points()
    add_rows(points, rows)
    bad = len(history) - len(rows)
    notes = [f"entries of the history that are no objects, skipped: {bad}"] if bad else []
    return points.log(path.name, "trainer_state", notes)


def global_step(path: Path) -> int:
    """How far the history goes, without reading it; -1 where the beginning does not say."""
    found = re.search(rb'"global_step":\s*(\d+)', head(path))
    return int(found[1]) if found else -1
