"""The validation rise: where it fires, and on the other side of each bound."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dyntools.findings import Severity
from dyntools.findings.validation_rise import rule
from dyntools.report import Report
from tests.findings.courses import numbers_course

STEPS = (0, 100, 200, 300)
TRAINING = (2.3, 1.0, 0.5, 0.1)


def gap(
    validation: Sequence[float], error: float = 0.01, training: Sequence[float] = TRAINING
) -> Report:
    return numbers_course(
        "validation_gap",
        [v - t for v, t in zip(validation, training, strict=True)],
        steps=STEPS,
        error=error,
        validation_loss=validation,
        validation_error=[error] * 4,
        training_loss=training,
    )


def test_it_names_the_better_checkpoint() -> None:
    (found,) = rule(gap([2.3, 1.2, 1.0, 1.25]))
    assert found.severity is Severity.act
    assert found.sentence == (
        "The loss of the validation examples was lowest (1) at step 200 and is 1.25 at step 300, "
        "25 % higher, while that of the probe fell: the run overfits."
    )
    assert found.evidence[0] == "rise 0.25, with one standard error of at most 0.0141"
    assert found.remedy.startswith("Use the checkpoint at step 200")


def test_a_rise_from_zero_has_no_share() -> None:
    (found,) = rule(gap([2.3, 1.2, 0.0, 0.4]))
    assert "is 0.4 at step 300, while" in found.sentence


def test_a_small_rise_is_to_be_watched() -> None:
    assert rule(gap([2.3, 1.2, 1.0, 1.04]))[0].severity is Severity.watch


@pytest.mark.parametrize(
    "report",
    [
        gap([2.3, 1.2, 1.1, 1.0]),  # still falling
        gap([2.3, 1.2, 1.0, 1.02]),  # within the errors
        gap([2.3, 1.2, 1.0, 1.25], error=0.1),
        gap([2.3, 1.2, 1.0, 1.25], training=(2.3, 1.0, 0.5, 0.6)),  # both rose: no overfitting
        gap([2.3, 1.2, 1.0, float("nan")]),
        numbers_course("validation_gap", [0.1, 0.2, 0.3, 0.4], steps=STEPS),
        numbers_course("another", [0.1, 0.2, 0.3, 0.4], steps=STEPS),
    ],
)
def test_it_is_silent(report: Report) -> None:
    assert rule(report) == ()
