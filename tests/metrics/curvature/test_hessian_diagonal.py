"""hessian_diagonal against dense Hessians: the bracket, the shares of signs, the error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dyntools.measuring import measure
from dyntools.metrics.curvature import hutchinson
from tests import problems

SEEDS = 60


def test_a_diagonal_hessian_is_found_exactly() -> None:
    eigenvalues = np.array([3.0, 1.0, -2.0, 0.0])
    problem = problems.quadratic(np.diag(eigenvalues))
    found = measure(problems.snapshot_of(problem), "hessian_diagonal", probes=4)
    expected = {
        "mean": 0.5,
        "mean_error": 0.0,
        "rms": np.sqrt(14 / 4),
        "l1": 6.0,
        "positive": 0.5,
        "negative": 0.25,
    }
    np.testing.assert_allclose(found.values, [1.5], rtol=1e-12)
    np.testing.assert_allclose(found.error, [0.0], atol=1e-12)
    for key, value in expected.items():
        np.testing.assert_allclose(found.beside[key], [value], rtol=1e-12, atol=1e-12, err_msg=key)


def dense_diagonals(problem: problems.Problem) -> list[problems.Array]:
    diagonal = np.diag(problems.dense(problem))
    ends = np.cumsum([p.numel() for p in problem.model.parameters()])[:-1]
    return np.split(diagonal, ends)


def test_truth_lies_within_the_error() -> None:
    """In at least the 68 % of draws that one standard error promises, for the whole bracket in
    nearly all; and the mean, which has no bias, within its own."""
    problem = problems.classifier(hidden=12)
    truth = dense_diagonals(problem)
    snapshot = problems.snapshot_of(problem)
    draws = [
        measure(replace(snapshot, _computed={}), "hessian_diagonal", seed=i) for i in range(SEEDS)
    ]
    absolute = np.array([np.abs(d).mean() for d in truth])
    mean = np.array([d.mean() for d in truth])
    off = np.stack([np.abs(found.values - absolute) / found.error for found in draws])
    assert (off < 1).mean(0).min() >= 0.55
    assert (off < 1).mean() >= 0.68
    assert (off < 2).mean() >= 0.9
    free = np.stack([(f.beside["mean"] - mean) / f.beside["mean_error"] for f in draws])
    assert 0.58 <= (np.abs(free) < 1).mean() <= 0.78


def test_upper_and_lower_means_bracket_the_truth() -> None:
    """In expectation, above by the noise and below by wrong signs; few probes make both clear."""
    problem = problems.classifier(hidden=12)
    snapshot = problems.snapshot_of(problem)
    truth = np.array([np.abs(d).mean() for d in dense_diagonals(problem)])
    squares = np.array([(d**2).mean() for d in dense_diagonals(problem)])
    upper, lower, square = np.zeros((3, 4))
    for i in range(SEEDS):
        fresh = replace(snapshot, _computed={})
        parts = hutchinson.parts(fresh, "hessian", 4, i).values()
        upper += [part.upper / SEEDS for part in parts]
        lower += [part.lower / SEEDS for part in parts]
        square += [part.square / SEEDS for part in parts]
    assert (lower < truth).all()
    assert (truth < upper).all()
    np.testing.assert_allclose(square, squares, rtol=0.35)  # which has no bias


def test_signs_are_claimed_only_where_they_are_known() -> None:
    """Of entries whose sign is uncertain at most 2.5 % are called by the wrong one."""
    problem = problems.classifier(hidden=12)
    snapshot = problems.snapshot_of(problem)
    found = measure(snapshot, "hessian_diagonal", probes=64)
    truth = dense_diagonals(problem)
    for i, diagonal in enumerate(truth):
        assert found.beside["positive"][i] <= (diagonal > 0).mean() + 0.06
        assert found.beside["negative"][i] <= (diagonal < 0).mean() + 0.06
    assert found.beside["positive"][2] > 0.4


def test_gauss_newton_has_no_negative_entries() -> None:
    snapshot = problems.snapshot_of(problems.classifier())
    found = measure(snapshot, "hessian_diagonal", matrix="gauss_newton", probes=64)
    assert (found.beside["negative"] <= 0.06).all()
    np.testing.assert_allclose(found.beside["l1"], found.values * [30, 5, 20, 4])
