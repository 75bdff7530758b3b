"""Width transfer and coordinate check against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from dyntools.comparison.coordinate_check import INSTEAD, SCALE, coordinate_check
from dyntools.comparison.given import by_width, widths
from dyntools.comparison.powers import power_law
from dyntools.comparison.side import Side
from dyntools.comparison.width_transfer import (
    MOST,
    Verdict,
    equal_means,
    spread_of,
    width_transfer,
)
from dyntools.errors import ReportError, UsageError
from tests.comparison.reports import report, series, side

WIDTHS = (64, 128, 256)


def shapes(width: int) -> dict[str, list[int]]:
    """64 → width → width → 10, with fused query, key and value."""
    return {
        "up.weight": [width, 64], "qkv.weight": [3 * width, width], "down.weight": [10, width],
        "down.bias": [10],
    }  # fmt: skip


def test_an_exact_power_law_has_its_exponent_and_no_error() -> None:
    x = np.array([32.0, 64, 128, 256])
    found = power_law(x, 3 * x**-0.5)
    assert found.exponent == pytest.approx(-0.5)
    assert found.error == pytest.approx(0, abs=1e-12)
    assert found.flat is False


def test_exponent_and_error_are_those_of_linear_regression() -> None:
    generator = np.random.default_rng(0)
    x = np.repeat([32.0, 64, 128], 3)
    y = x**0.3 * np.exp(0.2 * generator.standard_normal(9))
    reference = stats.linregress(np.log(x), np.log(y))
    found = power_law(x, y)
    assert found.exponent == pytest.approx(reference.slope)
    assert found.error == pytest.approx(reference.stderr)


def test_two_points_have_no_error_and_one_no_exponent() -> None:
    assert math.isnan(power_law([1, 2], [1, 4]).error)
    assert power_law([1, 2], [1, 4]).flat is None
    assert math.isnan(power_law([2, 2], [1, 4]).exponent)
    assert power_law([1, 2, 4], [1, 0, 16]).left_out == 1
    assert power_law([1, 2, 4], [1, math.nan, 16]).exponent == pytest.approx(2)


def test_widths_are_what_most_axes_are() -> None:
    sides = [side(str(w), report(shapes=shapes(w))) for w in WIDTHS]
    found = widths(sides, {})
    assert found.values == (64, 128, 256)
    assert "3 of 4 axes" in found.sentence
    vocabulary = [side(str(w), report(shapes={**shapes(w), "head.weight": [1000 + w, w]}))
                  for w in WIDTHS]  # fmt: skip
    assert widths(vocabulary, {}).values == (64, 128, 256)
    assert "others differ otherwise" in widths(vocabulary, {}).sentence


def test_given_widths_are_obeyed() -> None:
    sides = [side("a", report()), side("b", report())]
    assert widths(sides, {"b": 8, "a": 16}).values == (16, 8)
    assert [s.name for s in by_width(sides, {"b": 8, "a": 16})[0]] == ["b", "a"]
    with pytest.raises(UsageError, match="not for b"):
        widths(sides, {"a": 8})
    with pytest.raises(UsageError, match="names no run: 'c'"):
        widths(sides, {"a": 8, "b": 8, "c": 8})


def test_runs_of_one_width_do_not_tell_it() -> None:
    with pytest.raises(UsageError, match="do not tell their widths") as caught:
        widths([side("a", report(shapes=shapes(8))), side("b", report(shapes=shapes(8)))], {})
    assert "--x a=VALUE" in str(caught.value)


def test_the_spread_is_the_range_over_the_median() -> None:
    values = np.array([[1.0, 5, np.nan, 1], [2.0, 5, 1, -1], [3.0, 5, np.nan, 0]])
    np.testing.assert_array_equal(spread_of(values), [1, 0, np.nan, np.nan])


def curves(factor: float) -> list[Side]:
    """λ(t, width) = (1 + t) (width / 64)^factor, of trainings of different length."""
    made = []
    for i, width in enumerate(WIDTHS):
        end = 100 * (i + 1)
        steps = [0, end // 2, end]
        values = np.array([1.0, 1.5, 2.0]) * (width / 64) ** factor
        top = series("hessian_top", steps, values[:, None], coords={"rank": (1,)}, error=0.0)
        made.append(side(str(width), report(top, shapes=shapes(width))))
    return made


def test_curves_that_do_not_know_the_width_collapse() -> None:
    found = width_transfer(curves(0.0), {})
    (only,) = found.curves
    np.testing.assert_allclose(only.spread, 0, atol=1e-12)
    assert only.places.tolist() == [0, 0.5, 1]
    assert only.verdict is Verdict.collapse
    assert only.power.exponent == pytest.approx(0, abs=1e-12)


def test_curves_that_grow_with_the_width_do_not() -> None:
    """(4 - 1) / 2 at every fraction for an exponent of one."""
    (only,) = width_transfer(curves(1.0), {}).curves
    np.testing.assert_allclose(only.spread, 1.5)
    assert only.verdict is Verdict.apart
    assert only.power.exponent == pytest.approx(1)


def test_top_singular_values_are_compared_layer_by_layer() -> None:
    made = []
    for width in WIDTHS:
        values = [[1.0, width / 64]]
        one = series("spectral_norm", (0,), values, layers=("same", "grows"), error=0.0)
        made.append(side(str(width), report(one, shapes=shapes(width))))
    same, grows = width_transfer(made, {}).curves
    assert (same.entry, same.verdict) == ("same", Verdict.collapse)
    assert (grows.entry, grows.verdict) == ("grows", Verdict.apart)


def seeds(scatter: float, factor: float) -> list[Side]:
    """Three seeds of each width about (width / 64)^factor."""
    generator = np.random.default_rng(0)
    made = []
    for width in WIDTHS:
        reports = []
        for _ in range(3):
            values = (width / 64) ** factor * np.exp(scatter * generator.standard_normal(3))
            reports.append(report(series("hessian_top", (0, 5, 9), values), shapes=shapes(width)))
        made.append(side(str(width), *reports))
    return made


def test_seeds_decide_between_scatter_and_width() -> None:
    """A range that one run a width would call unclear."""
    (scattered,) = width_transfer(seeds(0.3, 0.0), {}).curves
    assert scattered.verdict is Verdict.within_seeds
    (grown,) = width_transfer(seeds(0.01, 0.2), {}).curves
    assert grown.median_spread < MOST
    assert grown.verdict is Verdict.apart
    assert grown.power.points == 9


def test_equal_means_is_the_analysis_of_variance() -> None:
    generator = np.random.default_rng(1)
    owner = np.repeat([0, 1, 2], [3, 4, 2])
    values = np.exp(generator.standard_normal(9) + 0.7 * owner)
    groups = [np.log(values[owner == i]) for i in range(3)]
    assert equal_means(values, owner) == pytest.approx(stats.f_oneway(*groups).pvalue)
    assert math.isnan(equal_means(values[[0, 3, 7]], np.array([0, 1, 2])))
    assert math.isnan(equal_means(np.where(values == values[0], np.nan, values), owner))
    assert equal_means(np.ones(9), owner) == 1


def test_width_transfer_without_its_metrics_is_an_error() -> None:
    sides = [side(str(w), report(shapes=shapes(w))) for w in WIDTHS]
    with pytest.raises(ReportError, match="share no metric of sharpness"):
        width_transfer(sides, {})


def test_coordinate_check_fits_activations_where_they_are() -> None:
    made = []
    for width in reversed(WIDTHS):
        scale = series(SCALE, (0, 3), [[1.0, 1.0], [1.0, width**0.5]], layers=("flat", "grows"))
        made.append(side(str(width), report(scale, shapes=shapes(width))))
    found = coordinate_check(made, {})
    assert found.sides == ("64", "128", "256")
    assert not found.note
    flat, grows = found.fits
    assert flat.last.exponent == pytest.approx(0)
    assert grows.last.exponent == pytest.approx(0.5)
    assert grows.first.exponent == pytest.approx(0)
    assert found.at == ("step 0", "step 3")


def test_coordinate_check_says_what_it_fits_instead() -> None:
    made = []
    for width in WIDTHS:
        norm = series("weight_norm", (0,), [[1.0]], layers=("a",), beside={"rms": [[width**-0.5]]})
        made.append(side(str(width), report(norm, shapes=shapes(width))))
    found = coordinate_check(made, {})
    assert found.metric == INSTEAD
    assert SCALE in found.note
    assert found.fits[0].last.exponent == pytest.approx(-0.5)


def test_every_seed_of_a_width_is_a_point_of_the_fit() -> None:
    made = []
    for width in WIDTHS:
        seeds = [report(series(SCALE, (0,), [[width * c]], layers=("a",)), shapes=shapes(width))
                 for c in (0.5, 2.0)]  # fmt: skip
        made.append(side(str(width), *seeds))
    (fit,) = coordinate_check(made, {}).fits
    assert fit.last.points == 6
    assert fit.last.exponent == pytest.approx(1)
    assert fit.last.error > 0.1
