"""The drift of the output logits: bounded from below by log Z and the spread, never by log Z alone.

The bound is held against the true mean of logits drawn at random.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from dyntools.findings import Severity
from dyntools.findings.logit_drift import rule
from dyntools.report import Report
from tests.findings.courses import layers_course, numbers_course

LN10 = math.log(10)


def drift(log_z: list[float], norm: float = 3.0, classes: float = 10.0, **more: object) -> Report:
    count = len(log_z)
    return numbers_course(
        "output_logits",
        log_z,
        steps=[100 * i for i in range(count)],
        attributes=more,
        norm=[norm] * count,
        classes=[classes] * count,
        largest=[abs(log_z[-1]) + norm] * count,
    )


@pytest.mark.parametrize(
    ("shift", "severity"),
    [(31.9, None), (32.1, Severity.note), (127.9, Severity.note), (128.1, Severity.watch)],
)
def test_the_bounds_below_and_above(shift: float, severity: Severity | None) -> None:
    for last in (LN10 - shift, LN10 + 3.0 + shift):
        found = rule(drift([LN10, last]))
        assert [one.severity for one in found] == ([] if severity is None else [severity])


def test_confidence_is_no_drift() -> None:
    """A log Z of 100 nats that the spread of the logits explains, as late in an MLP on digits."""
    assert rule(drift([LN10, 100.0], norm=100.0)) == ()


def test_the_shift_is_never_more_than_the_true_one() -> None:
    """mean z of logits drawn at random, against log Z, C and |z - mean z| of the same."""
    generator = np.random.default_rng(0)
    for _ in range(200):
        spread, classes = 10 ** generator.uniform(-1, 3), int(generator.integers(2, 50))
        true = generator.choice([-1, 1]) * generator.uniform(0, 300)
        z = generator.normal(size=(20, classes)) * spread
        z += true - z.mean(axis=1, keepdims=True)
        top = z.max(axis=1, keepdims=True)
        log_z = float((top[:, 0] + np.log(np.exp(z - top).sum(axis=1))).mean())
        norm = float(np.linalg.norm(z - z.mean(axis=1, keepdims=True), axis=1).mean())
        found = rule(drift([math.log(classes), log_z], norm=norm, classes=float(classes)))
        if found:
            told = float(found[0].sentence.rsplit(" ", 1)[1].rstrip("."))
            assert told <= abs(true) * 1.01  # three digits are told


def test_the_words() -> None:
    (found,) = rule(drift([LN10, -200.0], recipe={"weight_decay": 0.0}))
    assert found.sentence == (
        "The output logits have drifted away together: mean log Z is -200 nats at step 100, from "
        "2.3 at step 0, a shift of at least 202."
    )
    assert found.evidence[1] == "a z-loss of 0.0001 would add 4 nats to the loss"
    assert found.remedy.startswith("There is no weight decay: add some, or a z-loss")


@pytest.mark.parametrize(
    ("recipe", "start"),
    [({"weight_decay": 0.1}, "Add a z-loss"), ({}, "Add weight decay, or a z-loss")],
)
def test_the_remedy_knows_the_weight_decay(recipe: dict[str, float], start: str) -> None:
    assert rule(drift([LN10, -200.0], recipe=recipe))[0].remedy.startswith(start)


def test_a_shift_that_was_there_from_the_start_does_not_drift() -> None:
    assert rule(drift([-40.0, -70.0])) == ()
    assert rule(drift([-10.0, -70.0]))
    assert rule(drift([-70.0]))  # of one step nobody knows


def test_absent_companions_and_numbers_are_no_error() -> None:
    assert rule(Report({}, {})) == ()
    bare = numbers_course("output_logits", [2.0, 500.0], steps=(0, 1))
    assert rule(bare) == ()  # it may be spread
    below = numbers_course("output_logits", [2.0, -50.0], steps=(0, 1))
    (found,) = rule(below)
    assert found.sentence.endswith("a shift of at least 50.")
    assert "not known" in found.evidence[0]
    assert rule(numbers_course("output_logits", [math.nan], steps=(0,))) == ()
    assert rule(layers_course("output_logits", {"a": [-900.0]}, steps=(0,))) == ()
