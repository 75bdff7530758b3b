"""The finding on saturated units: its bounds, its words, its number, and silence elsewhere."""

from __future__ import annotations

import math

import pytest

from dyntools.findings import Severity, find
from dyntools.findings.saturated_units import rule
from dyntools.report import Report
from tests.findings.reports import layer_report


def report(saturated: float) -> Report:
    return layer_report(
        "dormant_units",
        {"1": [0.0], "3": [0.0]},
        steps=[300],
        saturated={"1": saturated, "3": 0.1},
        units={"1": 64.0, "3": 32.0},
    )


@pytest.mark.parametrize(
    ("share", "severity"),
    [(0.9, Severity.watch), (0.89, Severity.note), (0.5, Severity.note), (0.49, None)],
)
def test_the_bounds(share: float, severity: Severity | None) -> None:
    assert [found.severity for found in rule(report(share))] == [severity] * bool(severity)


def test_the_words() -> None:
    (found,) = find(report(0.6))
    assert found.sentence == (
        "60 % of the outputs of layer 1 lie within 1 % of the range from a bound, at step 300."
    )
    assert found.layers == ("1",)
    assert found.evidence == ("1: saturated 60 %",)


def test_the_gradient_that_is_left_is_four_per_cent() -> None:
    """At 1 % of the range from a bound, against the middle: tanh' = 1 - h², σ' = h (1 - h)."""
    tanh, sigmoid = 1 - 0.98**2, 0.99 * 0.01 / 0.25
    assert tanh == pytest.approx(sigmoid)
    assert tanh == pytest.approx(0.04, abs=5e-4)


def test_functions_without_bounds_are_no_error() -> None:
    assert rule(report(math.nan)) == ()
    assert rule(layer_report("dormant_units", {"1": [0.0]}, steps=[3])) == ()
    assert rule(Report({}, {})) == ()
