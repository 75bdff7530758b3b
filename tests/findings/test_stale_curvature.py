"""Curvature that was measured, and no longer holds."""

from __future__ import annotations

import math

import numpy as np

from dyntools.findings.stale_curvature import rule
from tests.findings.reports import overlap_report, sharpness_report
from tests.metrics.logs.hand_made import log_of


def test_an_eigenspace_that_turned() -> None:
    (found,) = rule(overlap_report([[math.nan] * 3, [0.9, 0.8, 0.9], [0.1, 0.2, 0.3]]))
    assert "none at step 200 overlaps with that of the checkpoint before by more than 30 %" in (
        found.sentence
    )


def test_one_space_that_stayed_is_enough() -> None:
    """Of two close eigenvalues the vectors turn freely; the space of both does not."""
    assert rule(overlap_report([[0.1, 0.98, 0.4]])) == ()
    assert rule(overlap_report([[math.nan] * 3])) == ()


def test_an_eigenvalue_that_changed_by_more_than_its_errors() -> None:
    (found,) = rule(sharpness_report([5.0, 5.0, 9.0]))
    assert "λ1 went from 5 at step 100 to 9 at 200" in found.sentence
    assert rule(sharpness_report([9.0, 5.0]))
    assert rule(sharpness_report([5.0, 9.0, 10.0])) == ()
    assert rule(sharpness_report([5.0, 9.0], sampling_error=0.4)) == ()


def test_a_run_that_went_on_at_another_rate() -> None:
    at = np.arange(0, 1001, 10)
    decayed = log_of(learning_rate=(at, np.where(at > 200, 0.01, 0.1)))
    (found,) = rule(sharpness_report([5.0, 5.0], log=decayed))
    assert "was 0.1 at step 100, the last that was measured, and is 0.01 at 1000" in found.sentence
    assert "from 20 to 200" in found.sentence
    constant = log_of(learning_rate=(at, np.full(len(at), 0.1)))
    assert rule(sharpness_report([5.0, 5.0], log=constant)) == ()
