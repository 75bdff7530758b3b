"""Curves: what a training loop logged, 24 bytes a number, as the log that metrics read."""

from __future__ import annotations

import time
from array import array
from collections.abc import Mapping

from dyntools.gathering import live_log
from dyntools.log import Log


class Curves:
    """Scalars by name, each with its step and the time; a step given again replaces the first."""

    def __init__(self) -> None:
        self._points: dict[str, tuple[array[int], array[float], array[float]]] = {}

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """What is known of one step."""
        now = time.time()
        for name, value in values.items():
            new = array("q"), array("d"), array("d")
            steps, numbers, walls = self._points.setdefault(name, new)
            steps.append(step)
            numbers.append(value)
            walls.append(now)

    def log(self) -> Log | None:
        """All of it; None where nothing was logged."""
        if not self._points:
            return None
        points = {
            name: {step: (value, wall) for step, value, wall in zip(*columns, strict=True)}
            for name, columns in self._points.items()
        }
        return live_log(points, "live")
