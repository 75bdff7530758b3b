"""Curves of the page: places by hand, gaps, names, thresholds."""

from __future__ import annotations

import re

import numpy as np
import pytest

from dyntools.page.curves import curves
from dyntools.page.plot import band_of, colour_of, path_of, short
from tests.page.conftest import series


def points(d: str) -> list[tuple[float, float]]:
    return [(float(a), float(b)) for a, b in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", d)]


def test_a_line_goes_through_its_values() -> None:
    plot = curves(series("m", [1.0, 3.0, 2.0]))
    (line,) = plot.lines
    found = points(line.d)
    assert [x for x, _ in found] == pytest.approx(
        [plot.box.left, (plot.box.left + plot.box.right) / 2, plot.box.right], abs=0.06
    )
    low, high, middle = (y for _, y in found)
    assert middle == pytest.approx((low + high) / 2, abs=0.06)
    assert plot.box.top <= high < middle < low <= plot.box.bottom
    assert [dot.title for dot in plot.dots] == ["step 0: 1.00", "step 100: 3.00", "step 200: 2.00"]


def test_a_gap_is_a_gap() -> None:
    d = path_of(np.array([0.0, 1, 2, 3]), np.array([5.0, np.nan, 6, 7]))
    assert d == "M0 5M2 6L3 7"


def test_a_band_goes_forth_and_back() -> None:
    x = np.array([0.0, 1])
    assert band_of(x, x, x + 1) == "M0 0L1 1L1 2L0 1Z"
    assert band_of(x, x * np.nan, x) == ""


def test_lines_are_named_apart_and_in_order() -> None:
    plot = curves(series("m", [[1.0, 1.01, 1.02], [2.0, 2.01, 2.02]]))
    assert [label.text for label in plot.labels] == ["h.0", "h.1", "h.2"]
    heights = sorted(label.y for label in plot.labels)
    assert min(np.diff(heights)) >= 12.9


def test_threshold_and_null_are_drawn_and_inside() -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    beside = {"threshold": np.full((2, 2), 9.0), "null": np.full((2, 2), 0.5)}
    plot = curves(series("m", values, beside=beside))
    assert plot.lines[-1].colour == "edge"
    assert plot.labels[-1].text == "threshold"
    diamonds = [dot for dot in plot.dots if dot.shape == "diamond"]
    assert [dot.title for dot in diamonds] == ["a random matrix of the same shape: 0.500"] * 2
    for dot in plot.dots:
        assert plot.box.top - 0.1 <= dot.y <= plot.box.bottom + 0.1


def test_a_null_far_off_does_not_flatten_the_lines() -> None:
    """NC1 with shuffled labels is twenty times what the labels give."""
    plot = curves(series("m", [[1.0], [3.0]], beside={"null": np.full((2, 1), 31.0)}))
    assert not [dot for dot in plot.dots if dot.shape == "diamond"]
    assert plot.remarks == ()
    near = curves(series("m", [[1.0], [3.0]], beside={"null": np.full((2, 1), 29.0)}))
    assert [dot.shape for dot in near.dots if dot.shape == "diamond"] == ["diamond"]


def test_decades_need_a_wide_positive_range() -> None:
    assert {mark.text for mark in curves(series("m", [1.0, 1e4])).up} >= {"1", "100"}
    assert "0" in {mark.text for mark in curves(series("m", [0.0, 1e4])).up}


def test_a_description_says_the_course_in_words() -> None:
    plot = curves(series("m", [[1.0, 5.0], [2.0, np.nan]]))
    assert plot.description == "From step 0 to 100; h.0: 1.00 to 2.00; h.1: 5.00 to 5.00."


def test_one_line_is_blue_and_many_go_by_depth() -> None:
    assert colour_of(0, 1) == "blue"
    assert [colour_of(i, 3) for i in range(3)] == ["l0", "l4", "l9"]
    assert short(12.0) == "12"
    assert short(-0.04) in ("-0", "0")
