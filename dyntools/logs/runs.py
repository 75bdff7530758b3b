"""Which of the logs found under one folder belong to the run at hand.

Event files in one folder are parts of one run, written by one start of the program each. Folders
that split one run (Keras's "train" and "validation", what `add_scalars` makes) become names. What
remains of one format with the same curves is several runs, of which the one with the most points is
kept: averaging or mixing runs would invent a history that nobody trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from dyntools.log import Curve, Log, assign_roles, curve_of_points, listed
from dyntools.logs.points import plural, replacements

PARTED = "tensorboard"  # the one format that begins a new file at every start
SPLITS = frozenset({"train", "validation", "valid", "val", "eval", "test"})


def one_run(logs: Sequence[Log]) -> list[Log]:
    """The logs of one run: parts joined, splits named, other runs left out with a note."""
    parts: dict[str, list[Log]] = {}
    for log in logs:
        parts.setdefault(_part(log), []).append(log)
    return _largest(_split([_joined(part) for part in parts.values()]))


def relabelled(log: Log, curve: Callable[[Curve], Curve]) -> Log:
    """`log` with every curve replaced; its name, and so its role, may change."""
    curves = {new.name: new for new in map(curve, log.curves.values())}
    return replace(log, curves=curves, roles=assign_roles(curves)[0])


def _part(log: Log) -> str:
    source = log.sources[0]
    return str(PurePosixPath(source).parent) if log.formats == (PARTED,) else source


def _joined(parts: list[Log]) -> Log:
    """Parts of one run as one log: where they overlap, the later part wins."""
    if len(parts) == 1:
        return parts[0]
    curves: dict[str, Curve] = {}
    replaced: dict[str, int] = {}
    for name in dict.fromkeys(name for part in parts for name in part.curves):
        pieces = [part.curves[name] for part in parts if name in part.curves]
        steps = [step for piece in pieces for step in piece.steps.tolist()]
        values = [value for piece in pieces for value in piece.values.tolist()]
        walls = [wall for piece in pieces for wall in _walls(piece)]
        points = (steps, values, walls)
        curves[name], replaced[name] = curve_of_points(name, points, "step", pieces[0].source)
    sources = tuple(source for part in parts for source in part.sources)
    notes = [note for part in parts for note in part.notes] + replacements(replaced)
    return Log(sources, (PARTED,), curves, assign_roles(curves)[0], tuple(notes))


def _walls(curve: Curve) -> list[float]:
    return [float("nan")] * len(curve.steps) if curve.wall is None else curve.wall.tolist()


def _split(logs: list[Log]) -> list[Log]:
    """Names for curves that only their folder tells apart: "validation/loss", "loss/train"."""
    folders = {_folder(log) for log in logs if log.formats == (PARTED,)}
    return [_named(log, _folder(log), folders) if log.formats == (PARTED,) else log for log in logs]


def _named(log: Log, folder: PurePosixPath, folders: Iterable[PurePosixPath]) -> Log:
    beside = {other.name for other in folders if other.parent == folder.parent} & SPLITS
    split = folder.name in beside and len(beside) > 1

    def named(curve: Curve) -> Curve:
        stem = curve.name.replace("/", "_") + "_"  # `add_scalars(tag, …)` writes to <tag>_<name>
        if folder.name.startswith(stem):
            return replace(curve, name=f"{curve.name}/{folder.name.removeprefix(stem)}")
        return replace(curve, name=f"{folder.name}/{curve.name}") if split else curve

    return relabelled(log, named)


def _folder(log: Log) -> PurePosixPath:
    return PurePosixPath(log.sources[0]).parent


def _largest(logs: list[Log]) -> list[Log]:
    rivals: list[list[Log]] = []  # of each format, the logs that share a curve, the largest first
    for log in sorted(logs, key=_size, reverse=True):
        group = next((group for group in rivals if _same_kind(group[0], log)), None)
        if group is None:
            rivals.append([log])
        else:
            group.append(log)
    return sorted(map(_first, rivals), key=lambda log: log.sources)


def _same_kind(one: Log, other: Log) -> bool:
    return one.formats == other.formats and not one.curves.keys().isdisjoint(other.curves)


def _first(rivals: list[Log]) -> Log:
    log, *others = rivals
    if not others:
        return log
    left = listed(f"{other.sources[0]} ({plural(_size(other), 'point')})" for other in others)
    note = (
        f"{plural(len(rivals), 'log')} hold the same curves, as those of several runs do; read is "
        f"{log.sources[0]}, which has the most points ({_size(log)}); left out: {left}; point at "
        f"one of them to read it"
    )
    return replace(log, notes=(*log.notes, note))


def _size(log: Log) -> int:
    return sum(len(curve.steps) for curve in log.curves.values())
