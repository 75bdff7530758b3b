"""The finding on dead units: its bounds, its words, and silence elsewhere."""

from __future__ import annotations

import math

from dyntools.findings import Severity, find
from dyntools.findings.dead_units import rule
from dyntools.report import Report
from tests.findings.reports import layer_report


def report(dormant: float, dead: float, units: float = 64.0) -> Report:
    return layer_report(
        "dormant_units",
        {"1": [dormant], "3": [0.0]},
        steps=[300],
        dead={"1": dead, "3": 0.0},
        units={"1": units, "3": 32.0},
    )


def test_dead_units_are_told_with_their_layer() -> None:
    (found,) = rule(report(0.5, 0.5))
    assert found.severity is Severity.watch
    assert found.sentence == "50 % of the 64 units of layer 1 never fire on the probe at step 300."
    assert found.layers == ("1",)
    assert find(report(0.5, 0.5)) == (found,)


def test_dormant_units_of_a_function_that_has_no_dead_ones() -> None:
    (found,) = rule(report(0.1, math.nan))
    assert found.severity is Severity.note
    assert "hardly ever speak" in found.sentence


def test_silence_below_the_bounds_and_on_few_units() -> None:
    assert not rule(report(0.09, 0.09))
    assert not rule(report(0.5, 0.5, units=7.0))
    assert not rule(Report({}, {}))
