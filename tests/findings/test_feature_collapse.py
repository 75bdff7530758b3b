"""Feature collapse: against the first measured rank, and against what the classes need."""

from __future__ import annotations

import math

import pytest

from dyntools.findings import Severity
from dyntools.findings.feature_collapse import rule
from dyntools.report import Report
from tests.findings.courses import layers_course, numbers_course, together


def ranks(last: float, *, first: float = 40.0, centred: float = 6.0, most: float = 128.0) -> Report:
    return layers_course(
        "feature_rank",
        {"0": [29.0, 29.0], "2": [first, last]},
        steps=(0, 1500),
        centred={"0": [38.0, 38.0], "2": [first, centred]},
        variance_90={"0": [20.0, 20.0], "2": [19.0, 4.0]},
        most={"0": [64.0, 64.0], "2": [most, most]},
    )


def logits(classes: float, metric: str = "output_logits") -> Report:
    return numbers_course(metric, [2.0], steps=(1500,), classes=[classes])


def test_a_rank_far_below_the_first_is_watched() -> None:
    (found,) = rule(ranks(5.0))
    assert found.severity is Severity.watch
    assert found.sentence == (
        "The features that enter 2 fill 5 directions at step 1500, of 40 at step 0."
    )
    assert found.evidence == (
        "2: effective rank 5, 12 % of the first, 6 without the mean, 90 % of the variance in "
        "4 directions of 128",
    )
    assert found.layers == ("2",)


@pytest.mark.parametrize(("last", "fires"), [(9.99, True), (10.01, False)])
def test_the_bound_is_a_quarter_of_the_first(last: float, fires: bool) -> None:
    assert bool(rule(ranks(last))) == fires


@pytest.mark.parametrize(("centred", "fires"), [(1.99, True), (2.01, False)])
def test_one_direction_that_varies_is_a_collapse_whatever_the_mean_adds(
    centred: float, fires: bool
) -> None:
    assert bool(rule(ranks(3.0, first=6.0, centred=centred))) == fires


def test_a_large_mean_alone_is_no_collapse() -> None:
    assert rule(ranks(1.2, first=4.0, centred=30.0)) == ()


def test_what_was_one_direction_from_the_start_has_lost_nothing() -> None:
    assert rule(ranks(1.1, first=1.2, centred=1.1)) == ()


def test_few_directions_cannot_collapse() -> None:
    assert rule(ranks(1.0, first=6.0, most=7.0)) == ()
    assert rule(ranks(1.0, first=6.0, most=8.0))


@pytest.mark.parametrize("metric", ["output_logits", "neural_collapse"])
def test_classes_need_one_direction_less_than_there_are(metric: str) -> None:
    """A simplex of C class means spans C - 1: what still has them all is a classifier's."""
    for centred, fires in ((8.9, True), (9.0, False)):
        report = together(ranks(5.0, centred=centred), logits(10.0, metric))
        assert bool(rule(report)) == fires
    assert rule(together(ranks(9.1, centred=5.0), logits(10.0, metric))) == ()


def test_more_classes_than_directions_ask_for_nothing() -> None:
    assert rule(together(ranks(5.0), logits(50257.0)))


@pytest.mark.parametrize(
    ("accuracy", "nc1", "severity"),
    [(1.0, 0.1, Severity.note), (0.99, 0.1, Severity.watch), (1.0, 0.11, Severity.watch)],
)
def test_the_terminal_phase_is_no_fault(accuracy: float, nc1: float, severity: Severity) -> None:
    collapse = numbers_course(
        "neural_collapse", [nc1], steps=(1500,), accuracy=[accuracy], classes=[10.0]
    )
    (found,) = rule(together(ranks(5.0), collapse))
    assert found.severity is severity
    assert ("no fault" in found.meaning) == (severity is Severity.note)
    assert any("NC1" in line for line in found.evidence) == (severity is Severity.note)


def test_absent_companions_and_numbers_are_no_error() -> None:
    assert rule(Report({}, {})) == ()
    bare = layers_course("feature_rank", {"a": [40.0, 5.0]}, steps=(0, 9))
    (found,) = rule(bare)
    assert found.evidence == ("a: effective rank 5, 12 % of the first",)
    assert rule(layers_course("feature_rank", {"a": [5.0]}, steps=(0,))) == ()
    assert rule(layers_course("feature_rank", {"a": [math.nan]}, steps=(0,))) == ()
    assert rule(together(bare, numbers_course("output_logits", [2.0], steps=(9,))))


def test_a_layer_measured_later_counts_from_its_own_first_value() -> None:
    report = layers_course(
        "feature_rank", {"a": [40.0, 39.0, 38.0], "b": [math.nan, 40.0, 5.0]}, steps=(0, 5, 9)
    )
    assert "of 40 at step 5." in rule(report)[0].sentence
