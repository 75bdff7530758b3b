"""What is read off a report: numbers, errors, and above all why there is none."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dyntools.checks.limit import parse
from dyntools.checks.quantity import Quantity, Sample
from dyntools.checks.reading import read_off
from dyntools.errors import UsageError
from dyntools.measurement import Status
from dyntools.report import CheckpointRow, Report, Series
from tests.views.conftest import make_series

STEPS = (0, 10, 20, 30)
NAN = math.nan


def rank(values: list[float], status: list[int] | None = None, **more: object) -> Series:
    """`effective_rank` of one layer."""
    codes = None if status is None else np.array(status)[:, None]
    column = np.array(values, dtype=np.float64)[:, None]
    made = make_series(
        "effective_rank",
        STEPS,
        column,
        coords={"layer": ("a",)},
        error=np.full_like(column, 0.1),
        status=codes,
        unit="dimensions",
    )
    return replace(made, **more)  # type: ignore[arg-type]


def the(text: str, *series: Series) -> Quantity:
    reports = [Report({"shapes": {"a": [3, 4]}}, {one.metric: one}) for one in series]
    (found,) = read_off(reports, parse(f"{text} within 0")).values()
    return found


def sample(text: str, series: Series) -> Sample:
    return the(text, series).samples[0]


def test_a_quantity_carries_all_that_must_agree() -> None:
    found = the("effective_rank", rank([1, 2, 3, 4]))
    assert found.key == "effective_rank[layer=a]@last"
    assert (found.unit, found.version, found.step_unit) == ("dimensions", 1, "step")
    assert (found.settings, found.probe, found.shape) == ({"seed": 0}, "", (3, 4))
    assert found.samples == (Sample(4.0, bound=0.1, steps=(30,)),)
    probed = rank([1, 2, 3, 4], settings={"seed": 0, "sizes": (1, 2), "probe": "ab: 3 examples"})
    assert the("effective_rank", probed).probe == "ab: 3 examples"
    assert the("effective_rank", probed).settings == {"seed": 0, "sizes": [1, 2]}


@pytest.mark.parametrize(
    ("reduction", "value", "steps"),
    [
        ("last", 4.0, (30,)),
        ("first", 3.0, (0,)),
        ("10", 5.0, (10,)),
        ("max", 5.0, STEPS),
        ("median", 3.5, STEPS),
        ("slope", 0.0, STEPS),
    ],
)
def test_reductions(reduction: str, value: float, steps: tuple[int, ...]) -> None:
    found = sample(f"effective_rank@{reduction}", rank([3, 5, 2, 4]))
    assert found.value == pytest.approx(value, abs=1e-12)
    assert (found.steps, found.status, found.missed) == (steps, Status.ok, ())


def test_a_slope_is_per_step() -> None:
    assert the("effective_rank@slope", rank([1, 2, 3, 4])).unit == "dimensions per step"
    assert sample("effective_rank@slope", rank([1, 2, 3, 4])).value == pytest.approx(0.1)


def test_the_last_step_is_the_last_one_tried_not_the_last_with_a_number() -> None:
    """Else a run that diverged at its end would be judged by the step before."""
    diverged = rank([1, 2, 3, NAN], [0, 0, 0, Status.failed])
    found = sample("effective_rank@last", diverged)
    assert math.isnan(found.value)
    assert (found.status, found.missed) == (Status.failed, (30,))
    unsaved = rank([1, 2, 3, NAN], [0, 0, 0, Status.skipped])
    assert sample("effective_rank@last", unsaved).steps == (20,)
    assert sample("effective_rank@last", unsaved).skipped == (30,)
    assert sample("effective_rank@20", unsaved).skipped == ()
    late = rank([NAN, 2, NAN, 4], [Status.skipped, 0, Status.skipped, 0])
    assert sample("effective_rank@last", late).skipped == ()
    assert sample("effective_rank@max", late).skipped == (20,)


def test_steps_without_a_number_behind_the_first_are_missed() -> None:
    """Those before it are not: a log needs some points before anything can be said of it."""
    late = rank([NAN, 2, 3, 4], [Status.failed, 0, 0, 0])
    assert sample("effective_rank@max", late).missed == ()
    hole = rank([1, NAN, 3, 4], [0, Status.failed, 0, 0])
    found = sample("effective_rank@max", hole)
    assert (found.value, found.status) == (4.0, Status.ok)
    assert (found.steps, found.missed) == ((0, 20, 30), (10,))
    endless = rank([1, math.inf, 3, 4], [0, 0, 0, 0])
    assert sample("effective_rank@max", endless).missed == (10,)


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ([2, 2, 2, 2], Status.failed),
        ([1, 1, 1, 1], Status.skipped),
        ([4, 1, 4, 4], Status.skipped),
        ([1, 2, 1, 1], Status.failed),
    ],
)
@pytest.mark.parametrize("reduction", ["last", "max", "slope"])
def test_why_there_is_no_number_at_all(status: list[int], why: Status, reduction: str) -> None:
    found = sample(f"effective_rank@{reduction}", rank([NAN] * 4, status))
    assert math.isnan(found.value)
    assert found.status == why


def test_a_step_that_was_not_measured() -> None:
    found = sample("effective_rank@15", rank([1, 2, 3, 4]))
    assert (found.status, found.steps) == (Status.absent, ())


def test_unconverged_numbers_are_numbers_that_say_so() -> None:
    doubtful = rank([1, 2, 3, 4], [0, 0, 0, Status.unconverged])
    assert sample("effective_rank@last", doubtful).status == Status.unconverged
    assert sample("effective_rank@max", doubtful).status == Status.unconverged
    assert sample("effective_rank@first", doubtful).status == Status.ok


def test_places_that_are_absent_throughout_are_no_entries() -> None:
    """Two dims need not cross everywhere, as layers and the axes of their tensors."""
    values = np.array([[[1.0, 2.0], [3.0, np.nan]]] * 2)
    status = np.where(np.isnan(values), Status.absent, Status.ok)
    series = make_series(
        "second_moment_snr",
        (0, 10),
        values,
        dims=("layer", "axes"),
        coords={"layer": ("w", "b"), "axes": ("0", "1")},
        status=status,
    )
    found = read_off([Report({}, {series.metric: series})], parse("second_moment_snr within 0"))
    assert [q.labels for q in found.values()] == [
        (("layer", "w"), ("axes", "0")),
        (("layer", "w"), ("axes", "1")),
        (("layer", "b"), ("axes", "0")),
    ]


def test_companions_and_their_errors() -> None:
    column = np.array([[1.0], [2.0], [3.0], [4.0]])
    series = rank([1, 2, 3, 4], beside={"mean": 2 * column, "mean_error": column, "null": column})
    assert sample("effective_rank.mean", series) == Sample(8.0, bound=4.0, steps=(30,))
    assert sample("effective_rank.null", series) == Sample(4.0, steps=(30,))
    assert the("effective_rank.null", series).unit == ""
    with pytest.raises(UsageError, match="no companion 'nul'") as raised:
        sample("effective_rank.nul", series)
    assert str(raised.value.remedy).startswith("null")


def test_kinds_of_errors() -> None:
    """A rank has a bound, a trace a standard error, a metric without errors neither."""
    trace = rank([1, 2, 3, 4], metric="hessian_trace")
    assert sample("hessian_trace", trace).standard_error == 0.1
    exact = rank([1, 2, 3, 4], metric="sparsity", error=None)
    assert sample("sparsity", exact) == Sample(4.0, steps=(30,))
    unknown = rank([1, 2, 3, 4], error=np.full((4, 1), np.nan))
    assert math.isnan(sample("effective_rank", unknown).bound)
    late = rank([1, 2, 3, 4], error=np.array([[np.nan], [0.1], [0.1], [0.1]]))
    assert sample("effective_rank", late).bound == 0.1
    for reduction in ("max", "mean", "slope"):  # a step that counts, or that might have
        assert math.isnan(sample(f"effective_rank@{reduction}", late).bound)
    plugin = rank([1, 2, 3, 4], metric="of_a_plugin", error=None)
    assert sample("of_a_plugin", plugin) == Sample(4.0, steps=(30,))


def test_each_report_is_a_sample_and_one_without_the_entry_an_absent_one() -> None:
    other = rank([2, 3, 4, 5], coords={"layer": ("b",)})
    reports = [
        Report({}, {"effective_rank": one}) for one in (rank([1, 2, 3, 4]), rank([1, 2, 3, 6]))
    ]
    reports.append(Report({}, {"effective_rank": other}))
    a, b = read_off(reports, parse("effective_rank within 0")).values()
    assert [s.value for s in a.usable] == [4.0, 6.0]
    assert [s.status for s in b.samples] == [Status.absent, Status.absent, Status.ok]
    assert a.value == 5.0
    assert a.standard_error == pytest.approx(1.0)


def test_reports_of_one_side_that_do_not_belong_together_are_told() -> None:
    mixed = the("effective_rank", rank([1, 2, 3, 4]), rank([1, 2, 3, 4], version=2))
    assert "version of the metric differs" in mixed.mixed


def test_a_report_without_the_metric_has_no_quantities() -> None:
    assert read_off([Report()], parse("effective_rank within 0")) == {}
    assert read_off([], parse("effective_rank within 0")) == {}


def test_a_part_of_a_fused_tensor_has_the_shape_of_its_tensor() -> None:
    part = rank([1, 2, 3, 4], coords={"layer": ("a[q]",)})
    assert the("effective_rank", part).shape == (3, 4)
    reports = [Report({"shapes": {"a": [3, n]}}, {"effective_rank": part}) for n in (4, 5)]
    (found,) = read_off(reports, parse("effective_rank within 0")).values()
    assert found.mixed == "The tensor has several shapes: 3×4 and 3×5."


def test_the_end_of_each_training_stands_beside_its_sample() -> None:
    rows = [CheckpointRow("a.pt", "torch", 900, "", "ok")]
    one = Report({}, {"effective_rank": rank([1, 2, 3, 4])}, rows)
    two = Report({}, {"effective_rank": rank([1, 2, 3, 4])})
    (found,) = read_off([one, Report(), two], parse("effective_rank within 0")).values()
    assert found.ends == (900, None, 30)
