"""Points: what a reader collects, name by name in the order written, and turns into a Log."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from dyntools.log import UNITS, Curve, Log, assign_roles, curve_of_points, listed

LIGHTNING = (
    "Lightning counts steps in batches from 0: what is logged at step N - 1 belongs to the "
    "checkpoint of step N"
)


@dataclass
class Column:
    """The points of one name in one unit, as they were written."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    walls: list[float] = field(default_factory=list)


class Points:
    """Collects points by unit and name. A name that occurs in two units keeps the better one."""

    def __init__(self) -> None:
        self._columns: dict[str, dict[str, Column]] = {unit: {} for unit in UNITS}

    def column(self, name: str, unit: str = "step") -> Column:
        """Where the points of `name` go."""
        columns = self._columns[unit]
        if name not in columns:
            columns[name] = Column()
        return columns[name]

    def add(self, name: str, step: int, value: float, wall: float = math.nan) -> None:
        """One point, counted in steps."""
        column = self.column(name)
        column.steps.append(step)
        column.values.append(value)
        column.walls.append(wall)

    def log(self, source: str, format_name: str, notes: Iterable[str] = ()) -> Log:
        """All points as a Log, with a note on what did not fit."""
        by_step, by_epoch, by_row = (self._columns[unit] for unit in UNITS)
        kept = {(name, "step"): column for name, column in by_step.items()}
        kept |= {(n, "epoch"): column for n, column in by_epoch.items() if n not in by_step}
        notes = list(notes)
        if not kept and by_row:
            kept = {(name, "row"): column for name, column in by_row.items()}
            notes.append("there is neither a step nor an epoch; points are numbered by row")
        else:
            notes += _left_out(by_row, "neither a step nor an epoch")
            both = {name: column for name, column in by_epoch.items() if name in by_step}
            notes += _left_out(both, "an epoch where others have a step")
        curves: dict[str, Curve] = {}
        replaced: dict[str, int] = {}
        for (name, unit), c in kept.items():
            points = (c.steps, c.values, c.walls)
            curves[name], replaced[name] = curve_of_points(name, points, unit, source)
        notes += replacements(replaced)
        return Log((source,), (format_name,), curves, assign_roles(curves)[0], tuple(notes))


def replacements(replaced: dict[str, int]) -> list[str]:
    """A note on how many points another value at the same step has replaced."""
    names = [f"{name} ({count})" for name, count in replaced.items() if count]
    total = sum(replaced.values())
    return [f"{plural(total, 'point')} written again at the same step: the last one counts, in "
            f"{listed(names)}"] if names else []  # fmt: skip


def plural(count: int, noun: str) -> str:
    """ "1 row", "2 rows"."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _left_out(columns: dict[str, Column], lack: str) -> list[str]:
    count = sum(len(column.steps) for column in columns.values())
    return [f"{plural(count, 'point')} with {lack} left out, of {listed(columns)}"] if count else []
