"""Findings on gradients: what fires, at which bounds, in which words, and when not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dyntools.assembly import series_of
from dyntools.findings import Severity, find
from dyntools.findings.batch_too_large import rule as batch_too_large
from dyntools.findings.clip_threshold import rule as clip_threshold
from dyntools.findings.noise_dominated import rule as noise_dominated
from dyntools.findings.plain_sgd import rule as plain_sgd
from dyntools.findings.vanishing_gradients import rule as vanishing_gradients
from dyntools.journal import Row
from dyntools.log import Curve, Log, Role
from dyntools.measurement import Measurement
from dyntools.report import Report
from tests.findings.reports import layer_report


def noise_report(
    value: float, lowest: float, highest: float, batch: float = math.nan, **beside: float
) -> Report:
    told = {"lowest": lowest, "highest": highest, "batch": batch, "two_sizes": math.nan}
    told |= {"preconditioned": math.nan, **beside}
    found = Measurement(np.array(value), beside={k: np.array(v) for k, v in told.items()})
    words = dict.fromkeys(("group", "unit", "what", "paper"), "by hand")
    entry = {"metric": "noise_scale", "version": 1, "settings": {}, "step_unit": "step", **words}
    row = Row("noise_scale", 300, 0.0, found)
    return Report({"step_unit": "step"}, {"noise_scale": series_of({**entry, "dims": ()}, [row])})


def norm_log(values: np.ndarray) -> Report:
    curve = Curve("gn", np.arange(len(values)), values, "step", None, "log")
    return Report(log=Log(("log",), ("jsonl",), {"gn": curve}, {Role.gradient_norm: "gn"}, ()))


def test_a_batch_far_below_the_noise_scale() -> None:
    (found,) = noise_dominated(noise_report(200, 160, 250, 16, preconditioned=90.0))
    assert found.severity is Severity.watch
    assert "at least 160 examples, 10 times the batch" in found.sentence
    assert "at most 9.09 %" in found.meaning
    assert found.step == 300
    assert any("as Adam scales gradients: 90" in line for line in found.evidence)
    assert not noise_dominated(noise_report(200, 159, 250, 16))
    assert not batch_too_large(noise_report(200, 160, 250, 16))


def test_noise_without_upper_bound_still_dominates() -> None:
    (found,) = noise_dominated(noise_report(math.nan, 500, math.inf, 32))
    assert "no upper bound" in found.evidence[0]


def test_a_batch_that_is_not_known_is_said() -> None:
    (found,) = noise_dominated(noise_report(200, 160, 250))
    assert found.severity is Severity.note
    assert "the batch of training is not known" in found.sentence
    assert "noise_scale:batch" in found.remedy
    assert "batch_size" in found.remedy
    assert not noise_dominated(noise_report(math.nan, 160, math.inf))
    assert not batch_too_large(noise_report(200, 160, 250))


def test_a_batch_far_above_the_noise_scale() -> None:
    (found,) = batch_too_large(noise_report(20, 15, 25, 250))
    assert found.severity is Severity.note
    assert "at least 10 times" in found.sentence
    assert not batch_too_large(noise_report(20, 15, 25.1, 250))
    assert not batch_too_large(noise_report(20, 15, math.inf, 250))
    assert not noise_dominated(noise_report(20, 15, 25, 250))


def gradients(**spread: float) -> Report:
    return layer_report(
        "gradient_norm",
        {name: [0.0 if math.isinf(s) else 1.0 / s] for name, s in spread.items()},
        steps=[50],
        size=dict.fromkeys(spread, 1024.0),
        spread={name: math.nan if math.isinf(s) else s for name, s in spread.items()},
        rms=dict.fromkeys(spread, 1e-3),
    )


def test_gradients_that_vanish_and_explode_against_the_weights() -> None:
    vanishing, exploding = vanishing_gradients(gradients(a=1.0, b=5e3, c=2e-4, d=1e3, e=999.0))
    assert vanishing.layers == ("b", "d")
    assert "2e-04 times" in vanishing.sentence or "0.0002 times" in vanishing.sentence
    assert exploding.layers == ("c",)
    assert "explodes" in exploding.sentence
    assert not vanishing_gradients(gradients(a=1.0, b=999.0, c=1 / 999))


def test_a_gradient_of_zero_vanishes() -> None:
    (found,) = vanishing_gradients(gradients(a=1.0, b=math.inf))
    assert found.sentence == "The gradient of b vanishes at step 50: zero."


def test_small_tensors_say_little() -> None:
    few = layer_report(
        "gradient_norm", {"a": [1.0]}, steps=[1], size={"a": 255.0}, spread={"a": 1e9}
    )
    assert not vanishing_gradients(few)


def test_a_far_outlier_of_the_gradient_norm_asks_for_a_threshold() -> None:
    values = np.random.default_rng(0).uniform(0.9, 1.1, 200)
    values[120] = 12.0
    (found,) = clip_threshold(norm_log(values))
    assert found.step == 120
    assert "11.9 times its median" in found.sentence
    level = np.quantile(values, 0.9)
    assert f"{level:.3g}" in found.remedy
    values[120] = 9.0
    assert not clip_threshold(norm_log(values))
    assert not clip_threshold(norm_log(np.array([1.0] * 30 + [100.0])))


@pytest.mark.parametrize("odd", [math.nan, math.inf, 0.0])
def test_norms_that_are_no_number_are_left_out(odd: float) -> None:
    values = np.where(np.arange(100) % 3 == 0, odd, 1.0)
    assert not clip_threshold(norm_log(values))


def rates(**levels: tuple[float, float]) -> Report:
    return layer_report(
        "effective_lr",
        {name: [math.sqrt(a * b)] for name, (a, b) in levels.items()},
        steps=[10],
        q05={name: a for name, (a, _) in levels.items()},
        q95={name: b for name, (_, b) in levels.items()},
    )


def test_equal_rates_in_all_tensors_need_no_adam() -> None:
    (found,) = plain_sgd(rates(a=(0.10, 0.15), b=(0.12, 0.3)))
    assert found.severity is Severity.note
    assert "0.1 to 0.3" in found.sentence
    assert not plain_sgd(rates(a=(0.10, 0.15), b=(0.12, 0.31)))


def test_they_are_among_the_findings_and_silent_on_an_empty_report() -> None:
    assert {f.rule for f in find(noise_report(200, 160, 250, 16))} == {"noise_dominated"}
    assert {f.rule for f in find(gradients(a=1.0, b=5e3))} == {"vanishing_gradients"}
    for rule in (noise_dominated, batch_too_large, clip_threshold, vanishing_gradients, plain_sgd):
        assert rule(Report()) == ()
