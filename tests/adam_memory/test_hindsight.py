"""What some of the steps would have led to."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dyntools.adam_memory import decide, evidence_of
from dyntools.adam_memory.hindsight import evenly_spaced, hindsight
from tests.adam_memory.hand_made import report, snr_series
from tests.metrics.logs.hand_made import log_of

SHAPES = {"fc1.weight": (10, 10), "fc2.weight": (10, 10)}
STEPS = tuple(range(100, 2100, 100))  # 20 of them


def run(first: list[float], second: list[float], **more: object) -> object:
    snr = {"fc1.weight": {"0": first}, "fc2.weight": {"0": second}}
    return report(snr_series(SHAPES, snr, steps=STEPS), **more)  # type: ignore[arg-type]


def test_a_run_that_does_not_change_is_known_from_its_first_steps() -> None:
    whole = run([3.0] * 20, [0.2] * 20)
    found = hindsight(whole, decide(evidence_of(whole)))
    assert [one.label for one in found] == ["first 10 %", "first 25 %", "first 50 %", "last only"]
    assert [len(one.steps) for one in found] == [2, 5, 10, 1]
    assert all(one.agree == one.tensors == 2 for one in found)
    assert all(one.saved == pytest.approx(0.45) for one in found)


def test_a_ratio_that_falls_is_found_out() -> None:
    """The authors' picture: much can go in the warm-up, little over the whole run."""
    falling = list(np.linspace(1.8, 0.0, 20))  # mean 0.9
    whole = run([3.0] * 20, falling)
    found = {one.label: one for one in hindsight(whole, decide(evidence_of(whole)))}
    assert (found["first 10 %"].agree, found["first 10 %"].saved) == (1, pytest.approx(0.9))
    assert (found["first 50 %"].agree, found["first 50 %"].saved) == (1, pytest.approx(0.9))
    assert (found["last only"].agree, found["last only"].saved) == (2, pytest.approx(0.45))


def test_the_warm_up_is_read_from_the_log_or_told() -> None:
    rates = np.minimum(np.arange(0, 2001, 50) / 1000, 1.0)
    log = log_of(learning_rate=(np.arange(0, 2001, 50), rates))
    falling = list(np.linspace(1.8, 0.0, 20))
    whole = run([3.0] * 20, falling, log=log)
    found = {one.label: one for one in hindsight(whole, decide(evidence_of(whole)))}
    assert found["warm-up"].steps == tuple(range(100, 1000, 100))
    assert found["warm-up"].saved == pytest.approx(0.9)
    told = {one.label: one for one in hindsight(whole, decide(evidence_of(whole)), warm_up=300)}
    assert told["warm-up"].steps == (100, 200)


def test_steps_that_allow_no_decision_say_so() -> None:
    whole = run([math.nan] * 19 + [3.0], [math.nan] * 19 + [3.0])
    decision = decide(evidence_of(whole))
    assert hindsight(whole, decision) == ()  # one step was measured
    whole = run([math.nan] * 18 + [3.0, 3.0], [0.2] * 20)
    found = hindsight(whole, decide(evidence_of(whole)))
    assert found[0].agree == 1
    nothing = run([3.0] * 20, [0.2] * 20)
    series = nothing.series["second_moment_snr"]  # type: ignore[attr-defined]
    series.beside["corrected"][:10] = math.nan
    first = hindsight(nothing, decide(evidence_of(nothing), "corrected"))[0]
    assert math.isnan(first.saved)
    assert "corrected" in first.reason


def test_shares_of_few_steps_are_told_once() -> None:
    snr = {"fc1.weight": {"0": [3.0] * 4}, "fc2.weight": {"0": [3.0] * 4}}
    whole = report(snr_series(SHAPES, snr, steps=(1, 2, 3, 4)))
    found = hindsight(whole, decide(evidence_of(whole)))
    assert [(one.label, one.steps) for one in found] == [
        ("first 25 %", (1,)),
        ("first 50 %", (1, 2)),
        ("last only", (4,)),
    ]


@pytest.mark.parametrize(
    ("steps", "even"),
    [
        ((10, 20, 50, 100, 200, 300, 400), (10, 100, 200, 300, 400)),
        ((0, 1000, 2000, 3000), (0, 1000, 2000, 3000)),
        ((1, 101, 201, 1200, 2200), (201, 1200, 2200)),
        ((1, 100, 200, 300), (1, 100, 200, 300)),
        ((7,), (7,)),
        ((), ()),
    ],
)
def test_even_steps_are_as_far_apart_as_the_widest_gap(
    steps: tuple[int, ...], even: tuple[int, ...]
) -> None:
    """Checkpoints that lie closer at the start would otherwise speak of the start alone."""
    assert evenly_spaced(steps) == even
