"""One metric of several reports, entry by entry."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dyntools.comparison.alignment import By
from dyntools.comparison.compared import compare, metrics_of
from dyntools.comparison.differing import Outcome
from dyntools.errors import ReportError, UsageError
from dyntools.measurement import Status
from tests.comparison.reports import report, series, side


def test_layers_are_matched_by_name_and_the_rest_is_listed() -> None:
    one = report(series("m", (0, 5), [[1, 2], [3, 4]], layers=("a", "b"), error=0.0))
    two = report(series("m", (0, 5), [[9, 8, 7], [6, 5, 4]], layers=("c", "b", "a"), error=0.0))
    found = compare([side("one", one), side("two", two)], "m")
    assert found.entries == ("a", "b")
    a, b = found.rows(found.last)
    assert [n.value for n in a.numbers] == [3, 4]
    assert [n.value for n in b.numbers] == [4, 5]
    assert found.only == {"c": ("two",)}
    assert a.differences[0].change == 1


def test_the_spread_needs_no_first() -> None:
    one, two, three = (report(series("m", (0,), [x], error=0.0)) for x in (1.0, 3.0, 2.0))
    (row,) = compare([side("a", one), side("b", two), side("c", three)], "m").rows(0)
    assert row.spread == pytest.approx((3 - 1) / 2)
    opposite = report(series("m", (0,), [-1.0]))
    (row,) = compare([side("a", one), side("b", opposite)], "m").rows(0)
    assert row.spread == 2
    zero = report(series("m", (0,), [0.0]))
    (row,) = compare([side("a", zero), side("b", zero)], "m").rows(0)
    assert row.spread == 0


def test_a_failed_number_stays_failed_and_is_not_tested() -> None:
    one = report(series("m", (0, 5), [1.0, np.nan], error=0.0))
    two = report(series("m", (0, 5), [1.0, 2.0], error=0.0))
    found = compare([side("one", one), side("two", two)], "m")
    assert found.alignment.places.tolist() == [0, 5]
    (row,) = found.rows(1)
    assert row.numbers[0].status is Status.failed
    assert row.differences[0].outcome is Outcome.untested
    assert math.isnan(row.spread)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"settings": {"probe": "ab: 64 examples"}}, "probed otherwise"),
        ({"settings": {"k": 20}}, "setting k differs"),
        ({"version": 2}, "version of the metric differs: 1 in one, 2 in two."),
    ],
)
def test_what_is_not_comparable_is_shown_and_not_tested(
    changed: dict[str, object], words: str
) -> None:
    one = report(series("hessian_top", (0,), [1.0], error=0.0))
    two = report(series("hessian_top", (0,), [2.0], error=0.0, **changed))  # type: ignore[arg-type]
    (row,) = compare([side("one", one), side("two", two)], "hessian_top").rows(0)
    assert row.differences[0].change == 1
    assert row.differences[0].outcome is Outcome.untested
    assert words in row.differences[0].why
    assert "baseline" not in row.differences[0].why


def test_a_tensor_of_another_shape_is_not_tested_its_neighbour_is() -> None:
    made = series("m", (0,), [[1.0, 2.0]], layers=("a", "b"), error=0.0)
    one = report(made, shapes={"a": [4, 4], "b": [4]})
    two = report(made, shapes={"a": [8, 4], "b": [4]})
    a, b = compare([side("one", one), side("two", two)], "m").rows(0)
    assert a.differences[0].why == "The tensor has another shape: 4×4 in one, 8×4 in two."
    assert b.differences[0].outcome is Outcome.within


def test_other_step_units_are_compared_at_equal_fractions() -> None:
    one = report(series("m", (0, 100), [1.0, 2.0], error=0.0))
    two = report(series("m", (0, 2), [1.0, 3.0], error=0.0, step_unit="epoch"))
    found = compare([side("one", one), side("two", two)], "m")
    assert found.alignment.by is By.fraction
    assert found.rows(1)[0].differences[0].outcome is Outcome.differs


def test_groups_are_means_over_seeds() -> None:
    groups = [
        side(name, *(report(series("m", (0,), [x])) for x in values))
        for name, values in (("a", (1.0, 2, 3, 4)), ("b", (11.0, 12, 13, 14)))
    ]
    found = compare(groups, "m")
    (row,) = found.rows(0)
    assert found.grouped
    assert [n.value for n in row.numbers] == [2.5, 12.5]
    assert row.differences[0].outcome is Outcome.differs
    assert row.differences[0].p == pytest.approx(2 / 70)


def test_a_companion_is_compared_like_a_metric_without_its_error() -> None:
    made = [replace(series("m", (0,), [1.0], error=0.1, beside={"rms": [x]}), unit="loss")
            for x in (5.0, 6.0)]  # fmt: skip
    one, two = map(report, made)
    found = compare([side("one", one), side("two", two)], "m.rms")
    (row,) = found.rows(0)
    assert [n.value for n in row.numbers] == [5, 6]
    assert found.unit == ""  # that of the metric, "loss", is not the companion's
    assert row.differences[0].why == "No error is known."
    with pytest.raises(UsageError, match="no companion 'rm'") as caught:
        compare([side("one", one), side("two", two)], "m.rm")
    assert "rms" in str(caught.value)


def test_a_companion_of_an_exact_metric_is_exact() -> None:
    made = [report(series("effective_lr", (0,), [1.0], beside={"lr": [x]})) for x in (0.1, 0.2)]
    (row,) = compare([side("a", made[0]), side("b", made[1])], "effective_lr.lr").rows(0)
    assert row.differences[0].outcome is Outcome.differs


def test_a_step_is_a_place() -> None:
    made = report(series("m", (0, 5), [1.0, 2.0]))
    found = compare([side("one", made), side("two", made)], "m")
    assert (found.place(None), found.place(0)) == (1, 0)
    with pytest.raises(ReportError, match="not compared at step 3") as caught:
        found.place(3)
    assert "--step 0, --step 5" in str(caught.value)


def test_of_many_steps_the_nearest_three_are_offered() -> None:
    made = report(series("m", tuple(range(0, 1000, 10)), np.ones(100)))
    with pytest.raises(ReportError) as caught:
        compare([side("one", made), side("two", made)], "m").place(503)
    assert caught.value.remedy == "--step 490, --step 500, --step 510"
    with pytest.raises(ReportError) as caught:
        compare([side("one", made), side("two", made)], "m", By.last).place(503)
    assert caught.value.remedy == "leave out --step: the last place is step 990"


def test_errors_name_what_there_is() -> None:
    one, two = report(series("mean", (0,), [1.0])), report(series("other", (0,), [1.0]))
    with pytest.raises(ReportError, match="No report holds") as caught:
        compare([side("one", one), side("two", two)], "maen")
    assert "mean" in str(caught.value)
    with pytest.raises(ReportError, match="Only one holds mean"):
        compare([side("one", one), side("two", two)], "mean")
    layered = report(series("mean", (0,), [[1.0]], layers=("a",)))
    with pytest.raises(ReportError, match="other axes"):
        compare([side("one", one), side("two", layered)], "mean")
    elsewhere = report(series("mean", (0,), [[1.0]], layers=("b",)))
    with pytest.raises(ReportError, match="no entry of mean in common"):
        compare([side("one", layered), side("two", elsewhere)], "mean")


def test_a_side_without_the_metric_is_named() -> None:
    one, other = report(series("m", (0,), [1.0])), report(series("x", (0,), [1.0]))
    sides = [side("a", one), side("b", other), side("c", one)]
    assert compare(sides, "m").without == ("b",)
    assert metrics_of(sides) == ("m",)


def test_axes_along_which_nothing_varies_have_no_name() -> None:
    made = report(
        series("m", (0,), [[[1.0, 2.0]]], coords={"block": ("all",), "rank": (1, 2)}, error=0.0)
    )
    assert compare([side("a", made), side("b", made)], "m").entries == ("rank 1", "rank 2")


def test_ten_thousand_layers_are_compared_in_a_moment() -> None:
    layers = [f"blocks.{i}.weight" for i in range(10_000)]
    made = [
        report(series("m", (0, 1), np.random.default_rng(i).random((2, 10_000)), layers=layers))
        for i in range(2)
    ]
    found = compare([side("a", made[0]), side("b", made[1])], "m")
    assert len(found.rows(found.last)) == 10_000
