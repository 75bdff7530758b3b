from __future__ import annotations

import numpy as np
import pytest
import torch

from dyntools.linalg.ritz import Ritz
from dyntools.measurement import Status
from dyntools.measuring import measure, measure_all
from dyntools.metrics.curvature.gradient_subspace import along, doubt, overlaps, sines
from dyntools.plan import parse
from tests import problems
from tests.problems import Array, classifier, quadratic, snapshot_of, symmetric


def truth(problem: problems.Problem, k: int) -> tuple[Array, Array]:
    """Top eigenvectors (k, n) of the dense Hessian, and the gradient (n,) by torch alone."""
    vectors = np.linalg.eigh(problems.dense(problem))[1][:, ::-1][:, :k].T
    terms = [problem.terms(batch) for batch in problem.batches]
    loss = sum(
        w * problem.loss(problem.outputs(problem.model, batch), batch)
        for w, batch in zip(terms, problem.batches, strict=True)
    )
    parts = torch.autograd.grad(loss / sum(terms), list(problem.model.parameters()))  # type: ignore[arg-type]
    return vectors, torch.cat([p.reshape(-1) for p in parts]).numpy()


def test_shares_of_a_network_against_the_dense_hessian() -> None:
    problem = classifier()
    vectors, gradient = truth(problem, 6)
    expected = np.cumsum((vectors @ gradient) ** 2) / (gradient @ gradient)
    found = measure(snapshot_of(problem), "gradient_subspace", k=6)
    assert found.error is not None
    assert (np.abs(found.values - expected) <= found.error + 1e-12).all()
    assert (np.diff(found.values) >= 0).all()
    np.testing.assert_allclose(found.beside["null"], np.arange(1, 7) / 59)
    assert np.isnan(found.beside["overlap"]).all()
    tight = measure(snapshot_of(problem), "gradient_subspace", k=6, rtol=1e-10)
    np.testing.assert_allclose(tight.values, expected, atol=1e-5)
    assert tight.error is not None
    assert (tight.error[:5] < 1e-3).all()


def test_a_gradient_that_lies_in_the_space_has_a_share_of_one() -> None:
    """On a parabola of rank 3 the gradient Ax is in the range of A, whatever x is."""
    problem = quadratic(symmetric([5.0, 3.0, 2.0, *[0.0] * 20]))
    found = measure(snapshot_of(problem), "gradient_subspace", k=3)
    assert found.values[2] == pytest.approx(1.0, abs=1e-9)


def test_the_error_covers_the_truth_at_a_loose_tolerance_too() -> None:
    for seed in range(6):
        problem = classifier(seed=seed)
        vectors, gradient = truth(problem, 5)
        expected = np.cumsum((vectors @ gradient) ** 2) / (gradient @ gradient)
        found = measure(snapshot_of(problem), "gradient_subspace", k=5, rtol=0.05, seed=seed)
        assert found.error is not None
        assert (np.abs(found.values - expected) <= found.error + 1e-12).all(), seed


def test_where_eigenvalues_agree_the_error_says_that_the_space_is_not_defined() -> None:
    """Nearly equal second and third: the spaces of 1 and 3 are sharp, that of 2 is anything."""
    values, residuals = np.array([4.0, 2.0, 2.0 - 1e-9, 1.0]), np.full(4, 1e-3)
    errors = np.array([1e-6 / 2, 1e-3, 1e-3, 1e-6 / 0.5])
    vectors = torch.eye(8, dtype=torch.float64)[:4]
    found = sines(Ritz(values, errors, residuals, np.ones(4, dtype=bool), vectors))
    np.testing.assert_allclose(found[0], [1e-3 / 2, 0, 0, 0], rtol=2e-3)
    assert found[1, 1] == 1.0
    np.testing.assert_allclose(found[2, :3], [1e-3 / 3, 1e-3, 1e-3], rtol=2e-3)
    np.testing.assert_allclose(found[3], [1e-3 / 3.5, 1e-3 / 1.5, 1e-3 / 1.5, 2e-3], rtol=2e-3)


def test_the_bound_covers_every_turn_of_the_space() -> None:
    """f before and after turning a space of 3 in 7 dimensions by known sines, many times."""
    rng = np.random.default_rng(0)
    closest = 0.0
    for _ in range(300):
        true = np.linalg.qr(rng.standard_normal((7, 7)))[0]
        tilt = 10 ** rng.uniform(-3, -0.3) * rng.standard_normal((4, 3))
        found = np.linalg.qr(true[:, :3] + true[:, 3:] @ tilt)[0]
        leaning = np.linalg.norm(true[:, 3:].T @ found, axis=0)
        gradient = rng.standard_normal(7)
        gradient /= np.linalg.norm(gradient)
        cosines = found.T @ gradient
        share = np.array([np.sum(cosines**2)])
        off = abs(share[0] - np.sum((true[:, :3].T @ gradient) ** 2))
        bound = doubt(share, cosines, leaning[None, :])[0]
        assert off <= bound + 1e-12
        closest = max(closest, off / bound)
    assert closest > 0.5


def test_overlap_with_the_checkpoint_before() -> None:
    problem = classifier()
    before = problems.params_of(problem)
    now = problems.moved(before, 0.05)
    vectors = []
    for params in (before, now):
        dense = problems.dense(problem, params)
        vectors.append(np.linalg.eigh(dense)[1][:, ::-1][:, :4].T)
    squares = (vectors[0] @ vectors[1].T) ** 2
    expected = [squares[:j, :j].sum() / j for j in range(1, 5)]
    previous = snapshot_of(problem, before, step=90)
    snapshot = snapshot_of(problem, now, previous=previous)
    found = measure(snapshot, "gradient_subspace", k=4, rtol=1e-10)
    np.testing.assert_allclose(found.beside["overlap"], expected, atol=1e-4)
    without = measure(snapshot, "gradient_subspace", k=4, rtol=1e-10, overlap=False)
    assert np.isnan(without.beside["overlap"]).all()
    assert without.values.tobytes() == found.values.tobytes()


def test_along_a_series_the_checkpoint_before_is_not_computed_again() -> None:
    problem = classifier()
    previous = snapshot_of(problem, step=90)
    measure(previous, "gradient_subspace")
    params = problems.moved(problems.params_of(problem), 0.01)
    later = snapshot_of(problem, params, previous=previous, earlier=previous)
    assert previous.known("risk") is None
    found = measure(later, "gradient_subspace")
    assert previous.known("risk") is None
    assert (found.beside["overlap"] > 0.5).all()


def test_it_shares_the_eigenvectors_of_hessian_top() -> None:
    snapshot = snapshot_of(classifier())
    tasks = [parse("hessian_top"), parse("gradient_subspace")]
    products = [snapshot.risk().products for _ in measure_all(snapshot, tasks)]
    assert products[0] == products[1] > 0


def test_the_functions_on_tensors() -> None:
    eye = torch.eye(4, dtype=torch.float64)
    gradient = torch.tensor([1.0, 2.0, 2.0, 0.0], dtype=torch.float64)
    np.testing.assert_allclose(along(eye[:3], gradient), [1 / 3, 2 / 3, 2 / 3])
    assert np.isnan(along(eye[:2], torch.zeros(4, dtype=torch.float64))).all()
    np.testing.assert_allclose(overlaps(eye[:2], eye[:2]), [1.0, 1.0])
    np.testing.assert_allclose(overlaps(eye[:2], eye[[1, 0]]), [0.0, 1.0])
    np.testing.assert_allclose(overlaps(eye[:2], eye[2:]), [0.0, 0.0])


def test_random_directions_meet_the_null() -> None:
    generator = torch.Generator().manual_seed(0)
    n, k = 500, 20
    vectors = torch.linalg.qr(torch.randn(n, k, generator=generator, dtype=torch.float64))[0].T
    draws = [torch.randn(n, generator=generator, dtype=torch.float64) for _ in range(400)]
    mean = np.mean([np.sum(along(vectors, g) ** 2) for g in draws])
    assert mean == pytest.approx(k / n, rel=0.05)


def test_at_a_minimum_there_is_no_direction() -> None:
    problem = quadratic(symmetric([3.0, 1.0]))
    found = measure(snapshot_of(problem, {"x": torch.zeros(2)}), "gradient_subspace", k=2)
    assert (found.status == Status.failed).all()
    assert "gradient is zero" in found.skipped[""]
