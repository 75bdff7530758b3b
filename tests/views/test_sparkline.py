"""Sparklines: as wide as asked at most, gaps for NaN, a line for a constant."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dyntools.views.sparkline import ASCII_BLOCKS, BLOCKS, sparkline


def test_a_ramp_uses_every_height() -> None:
    assert sparkline(range(8), 8) == BLOCKS
    assert sparkline(range(8), 8, blocks=ASCII_BLOCKS) == ASCII_BLOCKS


def test_nan_is_a_gap_and_infinity_the_end_of_the_scale() -> None:
    assert sparkline([0, math.nan, 1, math.inf, -math.inf], 9) == "▁ ██▁"


def test_a_constant_is_a_line() -> None:
    assert sparkline([3.0] * 4, 9) == "▄▄▄▄"


@pytest.mark.parametrize("values", [[], [math.nan] * 3])
def test_nothing_known_draws_nothing(values: list[float]) -> None:
    assert sparkline(values, 9).strip() == ""


@pytest.mark.parametrize("width", [0, 1, 7, 100])
def test_it_is_never_wider_than_asked(width: int) -> None:
    line = sparkline(np.sin(np.arange(90)), width)
    assert len(line) == min(width, 90)


def test_the_whole_range_of_floats() -> None:
    assert sparkline([-1.7e308, 1.7e308], 2) == "▁█"


def test_both_alphabets_are_equally_long() -> None:
    assert len(BLOCKS) == len(ASCII_BLOCKS)
