"""The first rise along a line, on functions whose crossing is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from dyntools.metrics.curvature.first_rise import first_rise

LINES: dict[str, tuple[Callable[[float], float], float]] = {
    "quadratic": (lambda x: 3 - x + 0.5 * x**2, 2.0),
    "quartic": (lambda x: x**4 - x, 1.0),
    "cubic": (lambda x: x**3 - 4 * x, 2.0),
    "cosine": (lambda x: -math.sin(x), math.pi),
    "wall": (lambda x: -x if x < 1.7 else math.nan, 1.7),
    "steep": (lambda x: math.exp(50 * x) - 1e4 * x, 0.2),
}


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("guess", [1e-5, 0.3, 2.5])
def test_the_bracket_holds_the_crossing(name: str, guess: float) -> None:
    f, root = LINES[name]
    if name == "steep":  # by bisection of f itself
        low, high = 0.1, 0.3
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if f(middle) > f(0.0) else (middle, high)
        root = low
    found = first_rise(f, guess, 0.01, 1e-9, 1e3)
    assert found.reason == ""
    assert found.low <= root <= found.high
    assert found.high - found.low <= 0.01 * found.high
    assert found.low <= found.root <= found.high
    assert found.start == f(0.0)
    assert found.depth == f(0.0) - f(found.root / 2) > 0
    assert found.passes <= 30


def test_passes_are_counted_and_few() -> None:
    """On a quadratic the secant is exact: from within a factor of four, eight values are enough."""
    calls = []

    def f(x: float) -> float:
        calls.append(x)
        return 0.5 * x**2 - x

    for guess in (0.6, 1.9, 2.1, 6.0):
        calls.clear()
        found = first_rise(f, guess, 0.01, 1e-9, 1e3)
        assert found.passes == len(calls) <= 8
        assert found.root == pytest.approx(2.0, rel=1e-9)


def test_it_starts_anew_below_a_bump() -> None:
    """From a guess behind a bump the bracket holds a later crossing; the bump lies at its half."""

    def f(x: float) -> float:
        return -x + 8 * math.exp(-(((x - 4) / 0.8) ** 2)) + (max(x - 6, 0)) ** 2

    later = 8.5  # f is below its start from 5.2 to here
    found = first_rise(f, 7.0, 0.01, 1e-9, 1e3)
    assert found.high < 3.5 < later
    assert f(found.low) <= f(0.0) < f(found.high)


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda x: x, "at once"),
        (lambda x: -x, "does not rise"),
        (lambda x: 1.0, "does not rise"),
        (lambda x: math.nan, "not finite"),
        (lambda x: 0.0 if x == 0 else math.nan, "at once"),
    ],
)
def test_no_crossing(f: Callable[[float], float], words: str) -> None:
    found = first_rise(f, 1.0, 0.01, 1e-6, 1e3)
    assert words in found.reason
    assert math.isnan(found.root)
    assert found.passes < 30
