"""The terminal phase: zero training error for some time, and classes that draw together."""

from __future__ import annotations

import math

import pytest

from dyntools.findings import Severity
from dyntools.findings.terminal_phase import rule
from dyntools.report import Report
from tests.findings.courses import layers_course, numbers_course

STEPS = (0, 100, 200, 300)


def collapse(
    last: float, accuracy: tuple[float, ...] = (0.1, 1.0, 1.0, 1.0), error: float | None = 0.001
) -> Report:
    return numbers_course(
        "neural_collapse",
        [1.2, 0.2, 0.15, last],
        steps=STEPS,
        error=error,
        accuracy=accuracy,
        nc2_norms=[0.2, 0.1, 0.05, 0.03],
        nc2_angles=[0.2, 0.1, 0.05, 0.04],
        nc3=[2.0, 1.0, 0.5, 0.2],
        nc4=[0.9, 0.1, 0.0, 0.0],
    )


def test_a_value_without_an_error_proves_nothing() -> None:
    assert rule(collapse(0.02, error=None)) == ()
    assert rule(collapse(0.02, error=math.nan)) == ()


def test_it_is_a_note_and_no_fault() -> None:
    (found,) = rule(collapse(0.02))
    assert found.severity is Severity.note
    assert found.sentence == (
        "The whole probe is classified right since step 100, and the features have drawn together "
        "around their classes: NC1 fell from 0.2 to 0.02 by step 300."
    )
    assert len(found.evidence) == 5
    assert "no fault" in found.meaning


@pytest.mark.parametrize(("last", "fires"), [(0.0979, True), (0.0981, False)])
def test_the_bound_counts_two_errors(last: float, fires: bool) -> None:
    assert bool(rule(collapse(last))) == fires


def test_zero_error_must_last() -> None:
    assert rule(collapse(0.02, (0.1, 0.99, 1.0, 1.0)))
    assert rule(collapse(0.02, (1.0, 1.0, 0.99, 1.0))) == ()
    assert rule(collapse(0.02, (1.0, 1.0, 1.0, 0.999))) == ()
    (late,) = rule(collapse(0.02, (1.0, 0.99, 1.0, 1.0)))
    assert "since step 200" in late.sentence


def test_what_is_tight_and_spreads_again_is_silent() -> None:
    report = numbers_course(
        "neural_collapse", [0.01, 0.02], steps=(0, 1), accuracy=[1.0, 1.0], error=0.0
    )
    assert rule(report) == ()


def test_absent_companions_and_numbers_are_no_error() -> None:
    assert rule(Report({}, {})) == ()
    assert rule(numbers_course("neural_collapse", [0.2, 0.01], steps=(0, 1))) == ()
    assert rule(collapse(math.nan)) == ()
    assert rule(layers_course("neural_collapse", {"a": [0.1]}, steps=(0,))) == ()
    bare = numbers_course(
        "neural_collapse", [0.2, 0.01], steps=(0, 1), error=0.001, accuracy=[1.0, 1.0]
    )
    (found,) = rule(bare)
    assert len(found.evidence) == 1
