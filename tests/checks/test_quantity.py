"""A quantity: the mean of its samples and their scatter, over the whole range of float64."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

from dyntools.checks.quantity import Quantity, Sample


def of(values: list[float]) -> Quantity:
    samples = tuple(Sample(value, steps=(1,)) for value in values)
    return Quantity("m", "", (), "last", samples, "", 1, {}, "step")


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e160, 1e307])
def test_mean_and_standard_error(scale: float) -> None:
    """By the closed forms in units of the scale: 1e160 squared is beyond float64."""
    values = [1.0, 2.5, -3.0, 17.0]
    found = of([scale * value for value in values])
    assert found.value / scale == pytest.approx(statistics.fmean(values), rel=1e-14)
    wanted = statistics.stdev(values) / 2
    assert found.standard_error / scale == pytest.approx(wanted, rel=1e-14)


def test_the_largest_numbers_have_a_mean() -> None:
    largest = float(np.finfo(np.float64).max)
    assert of([largest, largest]).value == largest
    assert of([largest, largest]).standard_error == 0
    assert of([0.0, 0.0]).value == of([0.0, 0.0]).standard_error == 0
    assert of([5e-324, 5e-324]).value == 5e-324


def test_bounds_that_are_infinite_stay_so() -> None:
    pair = (Sample(1.0, bound=math.inf), Sample(1.0, bound=0.5))
    assert Quantity("m", "", (), "last", pair, "", 1, {}, "step").bound == math.inf
