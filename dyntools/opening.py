"""Opening: from a path to a run, by headers alone; no tensor is read and no stored code is run.

A run is a directory, one file, or a glob. Every checkpoint and every log in it is found by its
content; nothing is dropped in silence: each file found is a row with what became of it.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dyntools import checkpoints as checkpoint_formats
from dyntools import logs as log_formats
from dyntools.checkpoint import Checkpoint, Damaged
from dyntools.errors import DyntoolsError, UsageError, nearest
from dyntools.layer_kinds import BY_NAME, Kinds, fits
from dyntools.log import Log, merge, with_roles
from dyntools.recipe import NOTHING, Recipe
from dyntools.report import CheckpointRow
from dyntools.run import Run, parameters
from dyntools.sequence import Aside, in_order, same_model, shown


def open_run(
    path: str | Path,
    *,
    initial: Path | None = None,
    log_paths: Sequence[Path] = (),
    roles: Mapping[str, str] | None = None,
    kinds: Kinds = BY_NAME,
    recipe: Recipe = NOTHING,
    mmap: bool = True,
) -> Run:
    """Open a directory, a file or a glob: headers only, no tensor is read and no stored code run.

    Raises UsageError when nothing is there, when neither a checkpoint nor a log is recognised, when
    the checkpoints belong to several models, or when a pattern of `kinds` fits no tensor.
    """
    places = _places(str(path))
    found: list[Checkpoint] = []
    damaged: list[Damaged] = []
    for place in places:
        good, bad = checkpoint_formats.find(place, mmap=mmap)
        found += good
        damaged += bad
    log, log_notes = _read_logs(places, log_paths, roles)
    if not found and not damaged and log is None:
        raise UsageError(
            "Neither a checkpoint nor a training log was recognised here.",
            where=str(path),
            remedy="give the directory of one run, a checkpoint file, a log file, or a glob",
        )
    root = _common_root(places)
    chosen, aside, unit = in_order(found, root)
    if not found and damaged and log is None:
        _refuse_all_damaged(path, damaged)
    start, start_note = _initial(chosen, initial, mmap)
    _check_kinds(kinds, chosen)
    return Run(
        name=Path(path).resolve().name if not glob.has_magic(str(path)) else str(path),
        path=str(path),
        checkpoints=tuple(chosen),
        initial=start,
        rows=_rows(chosen, aside, damaged, root),
        log=log,
        step_unit=unit,
        notes=(*start_note, *log_notes, *_unique(n for c in chosen for n in c.notes)),
        left_out=_left_out(chosen),
        kinds=kinds,
        recipe=recipe,
    )


def _places(path: str) -> list[Path]:
    if not path:
        raise UsageError("The path is empty.", remedy="dyntools analyze RUN")
    place = Path(path).expanduser()
    if place.exists():
        return [place]
    if glob.has_magic(path):
        found = [Path(match) for match in sorted(glob.glob(str(place), recursive=True))]
        if found:
            return found
        raise UsageError("No file matches this pattern.", where=path)
    siblings = [p.name for p in place.parent.iterdir()] if place.parent.is_dir() else []
    raise UsageError(
        "There is nothing at this path.", where=path, remedy=nearest(place.name, siblings) or None
    )


def _common_root(places: Sequence[Path]) -> Path:
    first = places[0]
    if len(places) == 1:
        return first if first.is_dir() else first.parent
    return Path(os.path.commonpath([place.parent for place in places]))


def _read_logs(
    places: Sequence[Path], given: Sequence[Path], roles: Mapping[str, str] | None
) -> tuple[Log | None, tuple[str, ...]]:
    """The logs given, else those found; merged into one."""
    logs: list[Log] = []
    notes: list[str] = []
    for place in given or places:
        good, bad = log_formats.find(place, exclude=_own_journals(place))
        logs += good
        notes += [f"The log {d.path.name} ({d.format}) is not readable: {d.reason}" for d in bad]
    if given and not logs:
        raise UsageError(
            "No training log was recognised there.",
            where=", ".join(map(str, given)),
            found="; ".join(notes) or None,
            remedy="formats: " + ", ".join(log_formats.FORMAT_NAMES),
        )
    if not logs:
        if roles:
            raise UsageError("Roles were given, but there is no log.", remedy="--logs PATH")
        return None, tuple(notes)
    return with_roles(merge(logs), roles), tuple(notes)


def _own_journals(place: Path) -> list[Path]:
    """Journals of unfinished analyses are JSON lines with steps too, but no training log."""
    return list(place.rglob("*.journal")) if place.is_dir() else []


def _initial(
    chosen: Sequence[Checkpoint], given: Path | None, mmap: bool
) -> tuple[Checkpoint | None, tuple[str, ...]]:
    if given is not None:
        checkpoint = checkpoint_formats.open_checkpoint(given, mmap=mmap)
        if chosen and not same_model(chosen[-1], checkpoint):
            raise UsageError(
                "The initial checkpoint holds another model than the run.", where=str(given)
            )
        step = checkpoint.step or 0
        return replace(checkpoint, step=step), (f"The initial weights are {given.name}.",)
    if not chosen or chosen[0].step == 0:
        return (chosen[0] if chosen else None), ()
    if len(chosen) == 1:
        return None, (
            "There is one checkpoint and no initial one, so nothing that compares with the start"
            " can be measured: give the initial weights with --initial.",
        )
    return chosen[0], (
        f"There is no checkpoint at step 0: changes since the start are changes since step"
        f" {chosen[0].step}. Give the initial weights with --initial.",
    )


def _rows(
    chosen: Sequence[Checkpoint], aside: Aside, damaged: Sequence[Damaged], root: Path
) -> tuple[CheckpointRow, ...]:
    good = [
        CheckpointRow(
            shown(c.path, root), c.format, c.step, c.step_source, "ok", "", _fingerprint(c)
        )
        for c in chosen
    ]
    others = [
        CheckpointRow(shown(c.path, root), c.format, c.step, c.step_source, "set aside", reason)
        for c, reason in aside
    ]
    bad = [
        CheckpointRow(shown(d.path, root), d.format, None, "", "damaged", d.reason) for d in damaged
    ]
    return (*good, *others, *bad)


def _fingerprint(checkpoint: Checkpoint) -> str:
    try:
        return checkpoint_formats.fingerprint(checkpoint)
    except (OSError, DyntoolsError):
        return ""


def _left_out(chosen: Sequence[Checkpoint]) -> dict[str, str]:
    return {name: why for c in reversed(chosen) for name, why in parameters(c)[1].items()}


def _check_kinds(kinds: Kinds, chosen: Sequence[Checkpoint]) -> None:
    """A pattern that fits nothing is a slip of the pen, and would change nothing in silence."""
    waiting = [pattern for pattern, _ in kinds.given]
    names: list[str] = []
    for checkpoint in reversed(chosen):
        if not waiting:
            return
        names += parameters(checkpoint)[0]
        waiting = [p for p in waiting if not any(fits(p, name) for name in names)]
        if waiting and (state := checkpoint.optimizer()) is not None:
            names += state.state  # one without a name is `param[3] (16, 8)` there
            waiting = [p for p in waiting if not any(fits(p, name) for name in names)]
    if waiting:
        raise UsageError(
            "A pattern of a layer's kind fits no tensor of the run.",
            found=waiting[0],
            remedy=f"tensors: {nearest(waiting[0], names)}" if names else "a run with checkpoints",
        )


def _refuse_all_damaged(path: str | Path, damaged: Sequence[Damaged]) -> None:
    raise UsageError(
        f"None of the {len(damaged)} checkpoints here can be read.",
        where=str(path),
        found="; ".join(f"{d.path.name}: {d.reason}" for d in damaged[:5]),
    )


def _unique(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))
