"""What a report in memory tells, whatever stands in its attributes."""

from __future__ import annotations

from pathlib import Path

import pytest

from dyntools import hdf5
from dyntools.errors import ReportError
from dyntools.report import Report
from tests.reports import random_report


@pytest.mark.parametrize("odd", [None, "(3, 4)", 7, [["w", [3, 4]]], True])
def test_shapes_are_none_where_they_are_not_told_by_name(odd: object) -> None:
    assert Report(attributes={"shapes": odd}).shapes == {}


def test_shapes_are_none_where_nothing_is_told() -> None:
    assert Report().shapes == {}
    assert Report(attributes={"shapes": {}}).shapes == {}


@pytest.mark.parametrize(
    "odd",
    [7, None, "34", "w", [3, "x"], [3, None], [[3], 4], [3.5], [-1], [float("inf")], {"0": 3}],
)
def test_what_is_no_shape_is_not_known(odd: object) -> None:
    """A report that was tampered with: no TypeError, and the others stay."""
    assert Report(attributes={"shapes": {"a": odd, "w": [3, 4]}}).shapes == {"w": (3, 4)}


def test_shapes_are_whole_numbers_in_order(tmp_path: Path) -> None:
    """As given, and as they come back from a file: a scalar has the shape ()."""
    told = {"w": [3, 4], "ünï": (5.0,), "scale": [], "large": [2**40, 1]}
    report = Report(attributes={"shapes": told})
    want = {"w": (3, 4), "ünï": (5,), "scale": (), "large": (2**40, 1)}
    hdf5.write(report, tmp_path / "r.h5")
    for found in (report.shapes, hdf5.read(tmp_path / "r.h5").shapes):
        assert found == want
        assert list(found) == list(want)
        assert all(type(n) is int for shape in found.values() for n in shape)


def test_the_unit_of_steps_is_the_step_unless_told() -> None:
    assert Report().step_unit == "step"
    assert Report(attributes={"step_unit": "epoch"}).step_unit == "epoch"


def test_a_metric_that_is_not_there_is_said_with_the_nearest() -> None:
    report = random_report()
    assert report["effective_rank"].metric == "effective_rank"
    with pytest.raises(ReportError, match="no metric 'effective_rnk'") as caught:
        report["effective_rnk"]
    assert "effective_rank" in str(caught.value.remedy)


def test_a_step_that_was_not_measured_is_said_with_those_that_were() -> None:
    series = random_report()["effective_rank"]
    assert [series.index(step) for step in (0, 10, 30)] == [0, 1, 2]
    with pytest.raises(ReportError, match="not measured at step 20") as caught:
        series.index(20)
    assert caught.value.remedy == "steps: 0, 10, 30"
