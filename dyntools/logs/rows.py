"""Rows of names and values, as CSV, JSON and W&B have them, and which of the names count the step.

`STEP_KEYS` decides. A row without any of them is counted by its epoch, if that is a whole number,
else by its place in the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from dyntools.log import ALIASES, Role, normalised
from dyntools.logs.points import Points

# The preferred one first. W&B and the loggers on top of it write the trainer's own step beside
# `_step`, which counts calls of `wandb.log`; fairseq has `num_updates`, nanoGPT `iter_num`.
STEP_KEYS = (
    *("trainer_global_step", "train_global_step", "global_step", "step", "steps", "iteration"),
    *("iter", "iterations", "iters", "iter_num", "train_step", "training_step", "num_updates"),
    *("update", "current_step"),
)
EPOCH_KEYS = ("epoch", "train_epoch", "epochs")
WALL_KEYS = ("timestamp", "wall_time", "time")
LOG_CALLS = len(STEP_KEYS)  # the rank of W&B's `_step`: used only where there is nothing better
VALUE, EPOCH, WALL = -1, -2, -3  # kinds of columns; a kind ≥ 0 is a rank among the step keys
OLDEST_WALL = 1e8  # 1973: a "time" below that is seconds since the start, a quantity like others
MILLISECONDS = 1e11  # 5138: a wall time above that is in milliseconds
LARGEST_STEP = 2.0**63
LOSSES = frozenset(ALIASES[Role.train_loss] + ALIASES[Role.validation_loss])


def kind_of(name: str) -> int:
    """What a column of this name holds: VALUE, EPOCH, WALL, or its rank among the step keys."""
    plain = normalised(name)
    if name == "_step":
        return LOG_CALLS
    if plain in STEP_KEYS:
        return STEP_KEYS.index(plain)
    if plain in EPOCH_KEYS:
        return EPOCH
    return WALL if plain in WALL_KEYS else VALUE


def looks_logged(names: Sequence[str]) -> bool:
    """Whether these columns of numbers are a training log: a step and something else, or a loss."""
    kinds = [kind_of(name) for name in names]
    counted = any(kind == EPOCH or kind >= 0 for kind in kinds)
    return (counted and len(names) > 1) or any(normalised(name) in LOSSES for name in names)


def number(raw: object) -> float | None:
    """A number, or text that spells one (Hugging Face logs '4.3', W&B 'NaN'); None for others."""
    if type(raw) is float:
        return raw
    if isinstance(raw, str):
        if "_" in raw:  # float() takes 1_000 for a thousand; in a log it is a name
            return None
    elif isinstance(raw, bool) or not isinstance(raw, int):
        return None
    try:
        return float(raw)
    except (ValueError, OverflowError):
        return None


def whole(value: float | None) -> int | None:
    """The step that a number is: None for fractions, NaN, infinity and what int64 cannot hold."""
    fits = value is not None and abs(value) < LARGEST_STEP and value.is_integer()
    return int(value) if fits and value is not None else None


def add_rows(points: Points, rows: Iterable[Mapping[str, object]]) -> None:
    """Adds every number of every row, counted by the row's step, else its epoch, else its place."""
    kinds: dict[str, int] = {}
    for place, row in enumerate(rows):
        values: list[tuple[str, float]] = []
        best, step, epoch, wall = LOG_CALLS + 1, None, None, math.nan
        for name, raw in row.items():
            value = raw if type(raw) is float else number(raw)
            if value is None:
                continue
            kind = kinds.get(name)
            if kind is None:
                kind = kinds[name] = kind_of(name)
            if 0 <= kind < best and (counted := whole(value)) is not None:
                best, step = kind, counted
            if kind == WALL and value >= OLDEST_WALL:
                wall = value / 1000 if value > MILLISECONDS else value
                continue
            if kind == EPOCH:
                epoch = whole(value)
            values.append((name, value))
        _add_row(points, values, _axis(step, epoch, place), kinds, best, wall)


def _axis(step: int | None, epoch: int | None, place: int) -> tuple[str, int]:
    if step is not None:
        return "step", step
    return ("epoch", epoch) if epoch is not None else ("row", place)


def _add_row(
    points: Points,
    values: list[tuple[str, float]],
    axis: tuple[str, int],
    kinds: Mapping[str, int],
    best: int,
    wall: float,
) -> None:
    unit, at = axis
    counter = EPOCH if unit == "epoch" else best
    for name, value in values:
        if kinds[name] != counter:
            column = points.column(name, unit)
            column.steps.append(at)
            column.values.append(value)
            column.walls.append(wall)
