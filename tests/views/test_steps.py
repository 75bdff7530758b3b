"""The horizontal axis: logarithmic when the steps are, with a place for zero."""

from __future__ import annotations

import numpy as np
import pytest

from dyntools.views.steps import scale_of, tick_of_step


@pytest.mark.parametrize(
    ("steps", "logarithmic"),
    [
        ([0, 1, 2, 4, 8, 16, 32, 64, 128], True),
        ([10, 20, 50, 100, 200, 500, 1000], True),
        (range(0, 5001, 100), False),
        ([0, 100], False),
        ([7], False),
        ([], False),
    ],
)
def test_logarithmic_if_steps_grow_by_factors(steps: list[int], logarithmic: bool) -> None:
    assert scale_of(list(steps)).logarithmic is logarithmic


def test_positions_increase_from_zero() -> None:
    steps = [0, 1, 2, 4, 8, 16, 32, 64, 128]
    scale = scale_of(steps)
    assert np.all(np.diff(scale(steps)) > 0)
    edges = scale.edges(steps)
    assert np.all(edges[:-1] < scale(steps))
    assert np.all(scale(steps) < edges[1:])


def test_ticks_are_short() -> None:
    assert [tick_of_step(x) for x in (0, 2000, 12_000, 1_500_000)] == ["0", "2000", "12k", "1.5M"]
