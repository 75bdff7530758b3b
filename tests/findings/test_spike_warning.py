"""Spike warning: which layers, for how long, and when an RMS counts for nothing."""

from __future__ import annotations

import math

from dyntools.findings import Finding, Severity, find
from dyntools.findings.spike_warning import rule
from dyntools.report import Report
from tests.findings.reports import layer_report


def report(
    steps: list[int], size: float = 4096, ceiling: float = 31.6, **layers: list[float]
) -> Report:
    return layer_report(
        "rms_spike",
        layers,
        steps=steps,
        size=dict.fromkeys(layers, size),
        ceiling=dict.fromkeys(layers, ceiling),
    )


def test_one_step_above_is_to_be_watched() -> None:
    (found,) = rule(report([100, 200, 300], embed=[1.0, 0.9, 4.2], head=[1.0, 1.1, 2.29]))
    assert found.severity is Severity.watch
    assert found.layers == ("embed",)
    assert found.step == 300
    assert found.sentence == (
        "The gradients of embed at step 300 are 4.2 times what Adam's second moment expects."
    )
    assert "it cannot pass 31.6" in found.evidence[0]
    assert "StableAdamW" in found.remedy
    assert "beta2" in found.remedy


def test_two_of_the_last_steps_ask_for_action_and_the_worst_comes_first() -> None:
    (found,) = rule(report([1, 2, 3, 4], a=[1, 1, 2.5, 1.0], b=[1, 2.4, 6.0, 1.0]))
    assert found.severity is Severity.act
    assert found.layers == ("b", "a")
    assert found.step == 3
    assert "; also in a." in found.sentence


def test_the_threshold_is_theirs() -> None:
    assert rule(report([1], a=[2.3]))
    assert not rule(report([1], a=[2.2999]))


def test_a_spike_that_lies_more_than_eight_steps_back_is_over() -> None:
    assert rule(report([10, 17], a=[5.0, 1.0]))
    assert not rule(report([10, 18], a=[5.0, 1.0]))


def test_few_weights_pass_by_chance_and_are_left_out() -> None:
    assert not rule(report([1], size=255, a=[5.0]))
    assert rule(report([1], size=256, a=[5.0]))


def test_silent_on_the_gradient_of_a_probe_and_without_the_metric() -> None:
    assert not rule(report([1], ceiling=math.nan, a=[5.0]))
    assert not rule(report([1], a=[math.nan]))
    assert not rule(Report())


def test_it_is_among_the_findings() -> None:
    (found,) = find(report([1], a=[9.0]))
    assert isinstance(found, Finding)
    assert found.rule == "spike_warning"
