"""Axes: ends, round marks, decades; by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dyntools.page.axes import Axis, axis_for, decades, even, steps_axis


@pytest.mark.parametrize(
    ("low", "high", "most", "marks"),
    [
        (0.0, 1.0, 5, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.13, 0.92, 4, [0.2, 0.4, 0.6, 0.8]),
        (-3.0, 7.0, 5, [-2, 0, 2, 4, 6]),
        (0.0, 3000.0, 4, [0, 1000, 2000, 3000]),
        (1e-9, 3e-9, 4, [1e-9, 1.5e-9, 2e-9, 2.5e-9, 3e-9]),
        (5.0, 5.0, 4, [5.0]),
        (0.0, float("inf"), 4, [0.0]),
    ],
)
def test_marks_are_round_and_within(low: float, high: float, most: int, marks: list[float]) -> None:
    found = even(low, high, most)
    assert found == pytest.approx(marks)


def test_decades_are_thinned() -> None:
    assert decades(0.05, 2000, 5) == pytest.approx([0.1, 1, 10, 100, 1000])
    assert len(decades(1e-12, 1e12, 5)) <= 5


def test_positions_linear_and_logarithmic() -> None:
    assert Axis(0, 10)([0, 5, 10, np.nan]) == pytest.approx([0, 0.5, 1, np.nan], nan_ok=True)
    assert Axis(1, 100, True)([1, 10, 100, 0]) == pytest.approx([0, 0.5, 1, np.nan], nan_ok=True)


def test_an_axis_holds_its_values_and_begins_at_zero_rather_than_just_below() -> None:
    axis = axis_for([0.1, 10.0])
    assert axis.low == 0
    assert axis.high > 10
    assert axis_for([]).low < axis_for([]).high
    assert axis_for([3.0, 3.0]).low < 3 < axis_for([3.0, 3.0]).high
    assert axis_for([-1e308, 1e308])([0.0]) == pytest.approx([0.5])
    assert axis_for([1.0, 1000.0], True).logarithmic
    assert not axis_for([0.0, -1.0], True).logarithmic


def test_steps_lie_where_the_files_have_them() -> None:
    linear = steps_axis([0, 100, 200, 300])
    assert linear([0, 150, 300]) == pytest.approx([0, 0.5, 1])
    grown = steps_axis([0, 10, 100, 1000, 10000])
    assert grown([0, 10, 100, 1000, 10000]) == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert [text for _, text in grown.marks()] == ["0", "10", "100", "1000", "10k"]
    alone = steps_axis([7])
    assert alone([7]) == pytest.approx([0.5])
