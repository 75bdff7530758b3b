"""Negative eigenvalues that rival the largest."""

from __future__ import annotations

from dyntools.findings.negative_curvature import rule
from tests.findings.reports import sharpness_report


def test_large_negative_eigenvalues() -> None:
    (found,) = rule(sharpness_report([10.0, 8.0], smallest=[-1.0, -6.0]))
    assert "At step 100 the most negative eigenvalue of the Hessian is 75 %" in found.sentence
    assert found.evidence[:2] == ("λ_min = -6, λ1 = 8", "share at step 0: 0.1")


def test_only_the_last_step_counts() -> None:
    assert rule(sharpness_report([10.0, 8.0], smallest=[-9.0, -1.0])) == ()


def test_the_nearer_bounds_count() -> None:
    assert rule(sharpness_report([8.0], smallest=[-4.0]))
    assert rule(sharpness_report([8.0], smallest=[-4.0], error=0.8)) == ()


def test_silent_without_the_smallest_or_at_a_minimum() -> None:
    assert rule(sharpness_report([10.0])) == ()
    assert rule(sharpness_report([10.0], smallest=[0.5])) == ()


def test_a_preconditioned_hessian_is_not_asked() -> None:
    assert rule(sharpness_report([8.0], smallest=[-6.0], metric="adam_sharpness")) == ()
