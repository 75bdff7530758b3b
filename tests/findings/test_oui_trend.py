"""OUI as a trend: beyond its errors, and the paper's band in networks of the paper's kind alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dyntools.findings import Severity
from dyntools.findings.oui_trend import rule
from dyntools.report import Report
from tests.findings.courses import layers_course, numbers_course, together

STEPS = (0, 100, 400, 700, 1000)
CONVOLUTIONAL = {"shapes": {"conv": [64, 64, 3, 3], "head": [10, 64]}}
PATCHES = {"shapes": {"patches": [64, 3, 4, 4], "mlp": [256, 64]}}


def oui(*columns: list[float], error: float = 0.005, **attributes: object) -> Report:
    names = [f"h.{i}" for i in range(len(columns))]
    return layers_course(
        "oui",
        dict(zip(names, columns, strict=True)),
        steps=STEPS,
        error=error,
        attributes=attributes,
    )


FALLING = [0.4, 0.9, 0.8, 0.75, 0.7]


def test_a_fall_since_a_tenth_of_the_run_is_told_with_its_error() -> None:
    (found,) = rule(oui(FALLING))
    assert found.severity is Severity.note
    assert found.sentence == "OUI (h.0) fell from 0.9 at step 100 to 0.7 ± 0.01 at step 1000."
    assert found.layers == ("h.0",)
    assert "does not carry over" in found.caveat


def test_what_rises_or_stays_is_silent() -> None:
    assert rule(oui([0.9, 0.6, 0.7, 0.7, 0.8])) == ()
    assert rule(oui([0.3, 0.9, 0.9, 0.9, 0.89])) == ()


def test_a_fall_before_a_tenth_of_the_run_is_no_trend() -> None:
    assert rule(oui([0.9, 0.7, 0.7, 0.7, 0.7])) == ()


@pytest.mark.parametrize(("error", "fires"), [(0.035, True), (0.036, False)])
def test_the_fall_is_against_both_errors(error: float, fires: bool) -> None:
    """0.1 is 2 √2 errors of 0.03535."""
    assert bool(rule(oui([0.5, 0.8, 0.8, 0.75, 0.7], error=error))) == fires


def test_the_errors_of_layers_do_not_average_out() -> None:
    """They saw the same examples: of two layers alike the mean is no surer than of one."""
    column = [0.5, 0.8, 0.8, 0.75, 0.7]
    assert rule(oui(column, column, error=0.035))
    assert rule(oui(column, column, error=0.036)) == ()


@pytest.mark.parametrize(("last", "fires"), [(0.759, True), (0.761, False)])
def test_a_fall_of_less_than_a_twentieth_is_left_alone(last: float, fires: bool) -> None:
    assert bool(rule(oui([0.5, 0.8, 0.8, 0.8, last], error=0.001))) == fires


def test_a_layer_that_rises_is_not_named() -> None:
    (found,) = rule(oui(FALLING, [0.5, 0.8, 0.8, 0.8, 0.85]))
    assert found.layers == ("h.0",)
    assert "(mean of 2 layers)" in found.sentence


def test_the_band_is_asked_about_in_convolutional_networks_alone() -> None:
    low = [0.5, 0.5, 0.5, 0.5, 0.5]
    (found,) = rule(oui(low, **CONVOLUTIONAL))
    assert found.sentence == (
        "OUI (h.0) is 0.5 ± 0.01 at step 1000, below the 0.6 to 0.8 that the paper calls good for "
        "its CNNs."
    )
    assert found.layers == ()
    assert rule(oui(low)) == ()
    assert rule(oui(low, **PATCHES)) == ()


@pytest.mark.parametrize(
    ("level", "fires"), [(0.589, True), (0.591, False), (0.809, False), (0.811, True)]
)
def test_the_band_is_two_errors_wide(level: float, fires: bool) -> None:
    assert bool(rule(oui([level] * 5, **CONVOLUTIONAL))) == fires


def test_a_fall_into_the_band_is_what_the_authors_like() -> None:
    assert rule(oui(FALLING, **CONVOLUTIONAL)) == ()
    (found,) = rule(oui([0.4, 0.99, 0.95, 0.9, 0.88], **CONVOLUTIONAL))
    assert "above the 0.6 to 0.8" in found.sentence
    assert "too little weight decay" in found.meaning


def test_the_band_is_compared_with_the_form_of_the_paper() -> None:
    """Clamped pairs of examples can be far below the mean over all of them."""
    report = layers_course(
        "oui",
        {"a": [0.82] * 5},
        steps=STEPS,
        error=0.001,
        attributes=CONVOLUTIONAL,
        pairs={"a": [0.7] * 5},
    )
    assert rule(report) == ()


def test_a_model_that_gets_the_whole_probe_right_does_not_underfit() -> None:
    def with_accuracy(last: float) -> Report:
        logits = numbers_course("output_logits", [2.3, 3.0], steps=(0, 1000), accuracy=[0.1, last])
        return together(oui(FALLING), logits)

    assert rule(with_accuracy(1.0)) == ()
    assert rule(with_accuracy(0.99))


def test_the_remedy_depends_on_the_weight_decay_that_is_known() -> None:
    assert "no weight decay" in rule(oui(FALLING, recipe={"weight_decay": 0.0}))[0].remedy
    assert "decay of 0.3," in rule(oui(FALLING, recipe={"weight_decay": 0.3}))[0].remedy
    held = layers_course(
        "trust_ratio",
        {"w": [1.0], "b": [1.0]},
        steps=(1000,),
        weight_decay={"w": [0.1], "b": [0.0]},
    )
    assert "decay of 0.1," in rule(together(oui(FALLING), held))[0].remedy
    high = {**CONVOLUTIONAL, "recipe": {"weight_decay": 0.0}}
    assert "run at a weight decay." in rule(oui([0.9] * 5, **high))[0].remedy


def test_few_steps_and_absent_numbers_are_no_error() -> None:
    few = layers_course("oui", {"a": [0.9, 0.5]}, steps=(500, 1000), error=0.001)
    assert rule(few) == ()
    assert rule(layers_course("oui", {"a": [0.9, 0.8, 0.5]}, steps=(5, 6, 7))) == ()
    assert rule(oui([math.nan] * 5)) == ()
    assert rule(oui(FALLING, error=math.nan)) == ()
    (found,) = rule(oui(FALLING, [0.9, math.nan, 0.8, 0.7, 0.1]))
    assert "(h.0)" in found.sentence
    assert rule(numbers_course("oui", [1.0], steps=(0,))) == ()


def test_a_step_without_values_is_passed_over() -> None:
    (found,) = rule(oui([0.4, 0.9, 0.8, 0.7, np.nan]))
    assert found.step == 700
