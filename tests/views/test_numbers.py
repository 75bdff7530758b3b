"""Numbers as a person reads them."""

from __future__ import annotations

import math

import pytest

from dyntools.views.numbers import count, number, signed, tick


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.231, "0.231"), (0, "0"), (-0.0, "0"), (1, "1.00"), (0.99996, "1.00"), (1234, "1234"),
        (9999.9, "10.0k"), (12345, "12.3k"), (1.2e6, "1.20M"), (999_999, "1.00M"), (3e9, "3.00G"),
        (1e12, "1.00e12"), (1.2e-5, "1.20e-5"), (9.999e-4, "0.00100"), (-0.0123, "-0.0123"),
        (math.nan, "–"), (math.inf, "inf"), (-math.inf, "-inf"), (5e-324, "4.94e-324"),
        (1.797e308, "1.80e308"),
    ],
)  # fmt: skip
def test_three_significant_digits(value: float, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (0.231, 0.012, "0.231±0.012"),
        (3.21, 0.4, "3.2±0.4"),
        (3.21, 1e-9, "3.21"),
        (3.21, math.nan, "3.21"),
        (3.21, 0, "3.21"),
        (3.21, None, "3.21"),
        (12345, 400, "12.3±0.4k"),
        (1.2e-5, 3e-6, "(1.2±0.3)e-5"),
        (0, 0.5, "0.0±0.5"),
        (0.1, 30, "0±30"),
        (-0.3, 30, "0±30"),
        (math.nan, 1, "–"),
    ],
)
def test_an_error_is_shown_where_it_is_visible(
    value: float, error: float | None, shown: str
) -> None:
    assert number(value, error) == shown


def test_ticks_have_no_trailing_zeros() -> None:
    assert [tick(x) for x in (0.2, 0.05, 1, 12_000, 1e-4, 120, 0, 100, 1.05)] == [
        *("0.2", "0.05", "1", "12k", "1e-4", "120", "0", "100", "1.05")
    ]


def test_changes_carry_their_sign() -> None:
    assert [signed(x) for x in (0.5, -0.5, 0, math.nan)] == ["+0.500", "-0.500", "0", "–"]


def test_plurals() -> None:
    assert [count(1, "layer"), count(2, "layer"), count(0, "loss")] == [
        *("1 layer", "2 layers", "0 losses")
    ]
