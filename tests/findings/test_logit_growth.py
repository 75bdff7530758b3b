"""Attention logits against the bounds of the papers, and the growth that the smallest asks for."""

from __future__ import annotations

import math

import pytest

from dyntools.findings import Severity
from dyntools.findings.logit_growth import rule
from dyntools.report import Report
from tests.findings.courses import layers_course, numbers_course


def logits(first: float, last: float, entropy: float = 0.6) -> Report:
    return layers_course(
        "attention_logits",
        {"h.0.attn": [first, last], "h.1.attn": [2.0, 3.0]},
        steps=(10, 2000),
        relative_entropy={"h.0.attn": [0.9, entropy], "h.1.attn": [0.9, 0.9]},
        lowest_head={"h.0.attn": [0.9, entropy / 2], "h.1.attn": [0.9, 0.9]},
    )


@pytest.mark.parametrize(
    ("last", "severity"),
    [
        (1e4, Severity.act),
        (9999.0, Severity.watch),
        (1000.0, Severity.watch),
        (999.0, Severity.note),
        (100.0, Severity.note),
    ],
)
def test_the_bounds_of_the_papers(last: float, severity: Severity) -> None:
    (found,) = rule(logits(5.0, last))
    assert found.severity is severity
    assert found.layers == ("h.0.attn",)


def test_the_sentence_says_from_where_it_grew() -> None:
    (found,) = rule(logits(5.0, 250.0))
    assert found.sentence == (
        "The largest attention logit of h.0.attn is 250 at step 2000, from 5 at step 10."
    )
    assert found.evidence == (
        "h.0.attn: largest 250, at first 5, entropy 60 % of uniform and 30 % in the lowest head",
    )


def test_below_the_practice_of_clipping_it_is_silent() -> None:
    assert rule(logits(0.1, 99.0, entropy=0.01)) == ()


def test_what_was_as_large_from_the_start_has_not_grown() -> None:
    assert rule(logits(101.0, 200.0)) == ()
    assert rule(logits(100.0, 200.0))
    assert rule(logits(2e4, 2e4)) == ()  # as the biases of ALiBi over a long context


@pytest.mark.parametrize(("entropy", "severity"), [(0.099, Severity.watch), (0.1, Severity.note)])
def test_an_entropy_that_collapsed_with_it_is_worse(entropy: float, severity: Severity) -> None:
    assert rule(logits(5.0, 250.0, entropy))[0].severity is severity


def test_of_one_step_the_size_speaks_alone() -> None:
    one = layers_course("attention_logits", {"a": [150.0]}, steps=(7,))
    (found,) = rule(one)
    assert found.sentence == "The largest attention logit of a is 150 at step 7."
    assert found.evidence == ("a: largest 150, at first 150",)


def test_the_largest_layer_comes_first() -> None:
    report = layers_course("attention_logits", {"a": [1.0, 200.0], "b": [1.0, 2e4]}, steps=(0, 9))
    (found,) = rule(report)
    assert found.layers == ("b", "a")
    assert found.sentence.endswith("from 1 at step 0; above 100 also in a.")


def test_absent_numbers_are_no_error() -> None:
    assert rule(Report({}, {})) == ()
    assert rule(numbers_course("attention_logits", [1e5], steps=(0,))) == ()
    report = layers_course(
        "attention_logits", {"a": [math.nan, 500.0], "b": [1.0, math.nan]}, steps=(0, 9)
    )
    (found,) = rule(report)
    assert found.layers == ("a",)
