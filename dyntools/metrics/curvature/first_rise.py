"""First rise: the step along a line at which a function is back at its start and rises above it.

    h(η) = (f(η) - f(0)) / η = f'(0) + ½ η f''(0) + …        the root of h, for f'(0) < 0

h is a straight line where f is a quadratic, so that the secant through two values hits the root at
once: a bracket by factors, then secants, with bisection where they do not pay.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

FACTOR = 4.0  # of the steps that look for a bracket; chosen
PUSHED = 0.4  # of the width wanted, by which a secant point goes beyond the root to enclose it


@dataclass(frozen=True)
class Crossing:
    """The root lies between low, where f is not above its start, and high, where it is.

    start: f(0). depth: f(0) - f(root / 2), how far it falls before. passes: values of f taken.
    reason: why there is no crossing, "" where there is one.
    """

    root: float
    low: float
    high: float
    start: float
    depth: float
    passes: int
    reason: str = ""


class _Line:
    """The values of f so far, as h."""

    def __init__(self, f: Callable[[float], float]) -> None:
        self.f, self.start, self.passes = f, f(0.0), 1

    def fall(self, step: float) -> float:
        """f(0) - f(η); minus infinity where f is not finite."""
        self.passes += 1
        value = self.f(step)
        return self.start - value if math.isfinite(value) else -math.inf

    def slope(self, step: float) -> float:
        """h(η)."""
        return -self.fall(step) / step


def first_rise(
    f: Callable[[float], float], guess: float, rtol: float, shortest: float, longest: float
) -> Crossing:
    """The first rise of f between two steps, to a width of `rtol` relative.

    The first as far as the steps that were taken tell: a bump between two of them stays unseen.
    """
    line = _Line(f)
    if not math.isfinite(line.start):
        return _none(line, "the loss is not finite here")
    guess = min(max(guess, shortest), longest)
    while True:
        bracket = _bracket(line, guess, shortest, longest)
        if isinstance(bracket, str):
            return _none(line, bracket)
        (low, high), root = _narrowed(line, *bracket, rtol)
        depth = line.fall(root / 2)
        if depth >= 0.0:
            return Crossing(root, low, high, line.start, depth, line.passes)
        guess = root / 2  # it had risen before


Point = tuple[float, float]  # η, h(η)


def _bracket(
    line: _Line, guess: float, shortest: float, longest: float
) -> tuple[Point, Point] | str:
    """Neighbouring steps, not above and above the start."""
    here = (guess, line.slope(guess))
    if here[1] > 0.0:
        while here[0] > shortest:
            high, step = here, here[0] / FACTOR
            here = (step, line.slope(step))
            if here[1] <= 0.0:
                return here, high
        return "the loss rises at once along this direction"
    while here[0] < longest:
        low, step = here, here[0] * FACTOR
        here = (step, line.slope(step))
        if here[1] > 0.0:
            return low, here
    return "the loss does not rise along this direction"


def _narrowed(
    line: _Line, low: Point, high: Point, rtol: float
) -> tuple[tuple[float, float], float]:
    """The ends of the bracket, and the root by the last secant."""
    halved = True
    while (width := high[0] - low[0]) > rtol * high[0]:
        step = (low[0] + high[0]) / 2
        if halved:
            root, push = _secant(low, high), PUSHED * rtol * high[0]
            ahead = high[0] - root > root - low[0]
            step = root + push if ahead else root - push
        point = (step, line.slope(step))
        low, high = (low, point) if point[1] > 0.0 else (point, high)
        halved = high[0] - low[0] <= width / 2
    return (low[0], high[0]), _secant(low, high)


def _secant(low: Point, high: Point) -> float:
    """The root of the line through both, or the middle where one of them is infinite."""
    if not math.isfinite(high[1]):
        return (low[0] + high[0]) / 2
    return low[0] + (high[0] - low[0]) * (-low[1]) / (high[1] - low[1])


def _none(line: _Line, reason: str) -> Crossing:
    return Crossing(math.nan, math.nan, math.nan, line.start, math.nan, line.passes, reason)
