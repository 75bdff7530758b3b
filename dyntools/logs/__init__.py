"""Training logs on disk: one format, one file, each with `recognises(path)` and `open(path)`.

To add a format: the file, and one entry in `FORMATS`. A reader recognises by content, reads a few
kilobytes to do so, imports no logging library, and never invents a point: what is torn or damaged
is left out and noted. `find` opens everything under a folder; a broken file is reported, and never
ends the run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from dyntools.errors import LogError
from dyntools.log import Log
from dyntools.logs import (
    csv,
    jsonl,
    mlflow,
    nanogpt,
    tensorboard,
    torchtitan,
    trainer_state,
    wandb,
)
from dyntools.logs.runs import one_run, relabelled
from dyntools.logs.text import head_lines


@dataclass(frozen=True)
class Format:
    """One way to write a log: its name, and its two functions."""

    name: str
    recognises: Callable[[Path], bool]
    open: Callable[[Path], Log]


@dataclass(frozen=True)
class Damaged:
    """A log that could not be read, and why."""

    path: Path
    format: str
    reason: str


# The first that recognises a file reads it; binary signatures before text.
FORMATS = (
    Format("tensorboard", tensorboard.recognises, tensorboard.open),
    Format("wandb", wandb.recognises, wandb.open),
    Format("mlflow", mlflow.recognises, mlflow.open),
    Format("trainer_state", trainer_state.recognises, trainer_state.open),
    Format("jsonl", jsonl.recognises, jsonl.open),
    Format("csv", csv.recognises, csv.open),
    Format("torchtitan", torchtitan.recognises, torchtitan.open),
    Format("nanogpt", nanogpt.recognises, nanogpt.open),
)
FORMAT_NAMES = tuple(form.name for form in FORMATS)
# Names that promise tensors. Whatever such a file holds, it is for a checkpoint reader to say.
TENSORS = frozenset({".pt", ".pth", ".tar", ".ckpt", ".bin", ".safetensors", ".distcp", ".h5"})
LOGS = ("*.jsonl", "metrics.csv", "trainer_state.json")  # names that promise a log
CHECKPOINT_FOLDER = re.compile(r"checkpoint-\d+")  # where Hugging Face repeats the history


def find(root: Path, exclude: Collection[Path] = ()) -> tuple[list[Log], list[Damaged]]:
    """The logs of the run in a folder (or the one file), and what could not be read.

    Paths in `exclude`, and all that lies below them, are not looked at.
    """
    if not root.exists() and not mlflow.recognises(root):
        raise LogError("there is no such file or folder", where=str(root))
    logs: list[Log] = []
    damaged: list[Damaged] = []
    recognised: list[tuple[Path, Format]] = []
    for path in _paths(root, {excluded.resolve() for excluded in exclude}):
        try:
            found = next((form for form in FORMATS if form.recognises(path)), None)
        except OSError as error:
            damaged.append(Damaged(path, "unknown", str(error)))
            continue
        if found:
            recognised.append((path, found))
        elif reason := _broken_promise(path):
            damaged.append(Damaged(path, "unknown", reason))
    histories: set[Path] = set()  # the folders whose longest trainer_state.json is read
    for path, form in _longest_history_first(recognised):
        run = _run_of(path)
        if form.name == "trainer_state" and run in histories:
            continue
        try:
            logs.append(_placed(form.open(path), path, root))
        except (LogError, OSError) as error:
            damaged.append(Damaged(path, form.name, str(error)))
            continue
        if form.name == "trainer_state":
            histories.add(run)
    return one_run(sorted(logs, key=lambda log: log.sources)), damaged


def _paths(root: Path, excluded: Collection[Path]) -> Iterator[Path]:
    """Files, and folders before what they hold, in sorted order; no links to folders."""
    if not root.is_dir():
        yield root
        return
    for here, folders, files in os.walk(root):
        folder = Path(here)
        hidden = [name for name in folders if name.startswith(".") and name != ".wandb"]
        folders[:] = sorted(
            name
            for name in folders
            if name not in hidden and (folder / name).resolve() not in excluded
        )
        yield folder
        for name in sorted(files):
            path = folder / name
            if path.suffix not in TENSORS and path.resolve() not in excluded:
                yield path


def _broken_promise(path: Path) -> str:
    """Why no format took a file whose name promises a log; empty for any other file."""
    if not any(map(path.match, LOGS)) or not path.is_file() or jsonl.is_journal(path):
        return ""
    if not path.stat().st_size:
        return "the file is empty"
    if not head_lines(path):
        return "its beginning holds no whole line of text"
    return "its name is that of a log, but its first lines hold no step and no loss to read"


def _longest_history_first(recognised: list[tuple[Path, Format]]) -> list[tuple[Path, Format]]:
    def history(entry: tuple[Path, Format]) -> int:
        path, form = entry
        return -trainer_state.global_step(path) if form.name == "trainer_state" else 0

    return sorted(recognised, key=history)


def _run_of(path: Path) -> Path:
    """The run's folder, for a trainer_state.json in it or in one of its checkpoints."""
    inside = CHECKPOINT_FOLDER.fullmatch(path.parent.name)
    return path.parent.parent if inside else path.parent


def _placed(log: Log, path: Path, root: Path) -> Log:
    """`log` with its source, and the beginning of its notes, relative to `root`."""
    source = log.sources[0] if path == root else path.relative_to(root).as_posix()
    notes = tuple(f"{source}: {note}" for note in log.notes)
    named = replace(log, sources=(source,), notes=notes)
    return relabelled(named, lambda curve: replace(curve, source=source))
