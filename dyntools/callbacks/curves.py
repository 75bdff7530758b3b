"""Curves: what a training loop logged, 24 to 36 bytes a number, as the log that metrics read.

What is new is laid behind what was there, in arrays with room for more that grow by half when they
are full, and a log is made of views of them: it costs as much after a million steps as after ten.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dyntools.log import Curve, Log, with_roles

SOURCE = "live"
Columns = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]


class Curves:
    """Scalars by name, each with its step and the time; a step given again replaces the first."""

    def __init__(self) -> None:
        self._new: dict[str, tuple[array[int], array[float], array[float]]] = {}
        self._known: dict[str, _Known] = {}

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """What is known of one step."""
        now = time.time()
        for name, value in values.items():
            steps, numbers, walls = self._new.setdefault(name, (array("q"), array("d"), array("d")))
            steps.append(step)
            numbers.append(value)
            walls.append(now)

    def log(self) -> Log | None:
        """All of it; None where nothing was logged."""
        for name, (steps, numbers, walls) in self._new.items():
            new = np.array(steps), np.array(numbers), np.array(walls)
            self._known.setdefault(name, _Known()).take(new)
        self._new.clear()
        if not self._known:
            return None
        curves = {name: known.curve(name) for name, known in self._known.items()}
        return with_roles(Log((SOURCE,), (SOURCE,), curves, {}, ()))


class _Known:
    """Steps that increase, the values there, and when these were told."""

    def __init__(self) -> None:
        self._count = 0
        self._room = _empty(0)

    def take(self, new: Columns) -> None:
        """Behind what is there; a step that was there already or is earlier finds its place."""
        steps, values, walls = self._columns()
        if np.any(np.diff(new[0], prepend=steps[-1:]) <= 0):
            all_steps = np.concatenate([steps, new[0]])
            order = np.argsort(all_steps, kind="stable")
            last = order[np.append(np.diff(all_steps[order]) > 0, True)]  # of those of one step
            numbers, times = np.concatenate([values, new[1]]), np.concatenate([walls, new[2]])
            new = all_steps[last], numbers[last], times[last]
            self._count, self._room = 0, _empty(0)  # views of the old ones stay as they are
        end = self._count + len(new[0])
        if end > len(self._room[0]):
            self._grow(end + end // 2)
        for room, column in zip(self._room, new, strict=True):
            room[self._count : end] = column
        self._count = end

    def _grow(self, size: int) -> None:
        grown = _empty(size)
        for room, column in zip(grown, self._columns(), strict=True):
            room[: self._count] = column
        self._room = grown

    def _columns(self) -> Columns:
        steps, values, walls = self._room
        return steps[: self._count], values[: self._count], walls[: self._count]

    def curve(self, name: str) -> Curve:
        """Views: what comes later lies behind them."""
        steps, values, walls = self._columns()
        for column in (steps, values, walls):
            column.flags.writeable = False
        return Curve(name, steps, values, "step", walls, SOURCE)


def _empty(size: int) -> Columns:
    return np.empty(size, np.int64), np.empty(size), np.empty(size)
