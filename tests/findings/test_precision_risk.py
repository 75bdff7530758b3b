"""Precision risk: on either side of what the formats hold, and the order of the risks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dyntools.findings import Severity
from dyntools.findings.precision_risk import rule
from dyntools.report import Report
from tests.findings.courses import layers_course

WELL = {"rms": 1.0, "largest": 5.0, "kurtosis": 3.0}


def scale(**modules: dict[str, float]) -> Report:
    every = {name: {**WELL, **one} for name, one in modules.items()}
    beside = {
        key: {name: [one.get(key, 0.0)] for name, one in every.items()}
        for key in ("largest", "kurtosis", "fp16", "bf16", "fp8_e4m3", "fp8_e5m2")
    }
    values = {name: [one["rms"]] for name, one in every.items()}
    return layers_course("activation_scale", values, steps=(300,), **beside)


def test_outputs_of_a_usual_size_are_silent() -> None:
    assert rule(scale(a={}, b={"largest": 100.0})) == ()
    assert rule(Report({}, {})) == ()


def test_an_overflow_of_fp16_is_watched() -> None:
    (found,) = rule(scale(a={}, b={"rms": 1e3, "largest": 7e4}))
    assert found.severity is Severity.watch
    assert found.sentence == "b overflows fp16: largest 70000, at step 300."
    assert found.layers == ("b",)
    assert "infinite" in found.meaning


@pytest.mark.parametrize(
    ("largest", "words"),
    [(65505.0, "overflows fp16"), (65504.0, "is within 8 times"), (8189.0, "is within 8 times")],
)
def test_the_end_of_fp16_and_the_room_before_it(largest: float, words: str) -> None:
    (found,) = rule(scale(a={"rms": 1000.0, "largest": largest}))
    assert words in found.sentence
    assert (found.severity is Severity.watch) == (largest > 65504)


@pytest.mark.parametrize(("largest", "fires"), [(448.0, False), (449.0, True), (8188.0, True)])
def test_the_end_of_fp8(largest: float, fires: bool) -> None:
    found = rule(scale(a={"rms": 100.0, "largest": largest}))
    assert bool(found) == fires
    if fires:
        assert found[0].severity is Severity.note
        assert "a overflows fp8_e4m3" in found[0].sentence


@pytest.mark.parametrize(("largest", "fires"), [(126.9, False), (127.1, True)])
def test_outliers_that_leave_the_others_one_step(largest: float, fires: bool) -> None:
    found = rule(scale(a={"largest": largest, "kurtosis": 900.0}))
    assert bool(found) == fires
    if fires:
        assert "largest 127 times the RMS, kurtosis 900" in found[0].sentence


@pytest.mark.parametrize(
    ("form", "least"), [("fp16", 2**-14), ("fp8_e4m3", 2**-6), ("fp8_e5m2", 2**-14)]
)
def test_a_small_tensor_that_loses_a_tenth(form: str, least: float) -> None:
    def of(rms: float, lost: float) -> Report:
        return scale(a={"rms": rms, "largest": 5 * rms, form: lost})

    (found,) = rule(of(0.99 * least, 0.1))
    assert f"a is too small for {form}: RMS" in found.sentence
    assert "10 % of the entries" in found.sentence
    assert rule(of(0.99 * least, 0.099)) == ()


def test_tiny_entries_beside_large_ones_are_no_loss() -> None:
    """They are rounded to zero, which is less than what rounding does to the others."""
    assert rule(scale(a={"rms": 1.0, "fp8_e4m3": 0.5, "fp16": 0.3})) == ()


def test_the_gravest_comes_first_and_all_are_evidence() -> None:
    (found,) = rule(
        scale(
            small={"rms": 1e-3, "largest": 4e-3, "fp8_e4m3": 0.6},
            spiky={"largest": 400.0},
            large={"rms": 5e3, "largest": 1e5},
            larger={"rms": 5e3, "largest": 2e5},
        )
    )
    assert found.sentence.startswith("larger (and 1 more) overflows fp16: largest 200000")
    assert found.layers == ("larger", "large", "spiky", "small")
    assert len(found.evidence) == 3
    assert found.remedy.count("FP8") == 1


def test_absent_companions_and_numbers_are_no_error() -> None:
    bare = layers_course("activation_scale", {"a": [1e-9], "b": [math.nan]}, steps=(1,))
    assert rule(bare) == ()
    zeros = layers_course("activation_scale", {"a": [0.0]}, steps=(1,), largest={"a": [0.0]})
    with np.errstate(all="raise"):
        assert rule(zeros) == ()
    tails = layers_course("activation_scale", {"a": [1.0]}, steps=(1,), largest={"a": [1e5]})
    assert rule(tails)[0].severity is Severity.watch
