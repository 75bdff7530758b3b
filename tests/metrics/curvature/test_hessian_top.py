from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dyntools.measurement import Measurement, Status
from dyntools.measuring import measure
from tests import problems
from tests.problems import Array, classifier, eigenvalues, quadratic, snapshot_of, symmetric

SPECTRA = {
    "spread": np.geomspace(100, 1, 40),
    "clustered": np.concatenate([[7.0, 7.0 - 1e-3, 7.0 - 2e-3], np.linspace(1, 0, 30)]),
    "degenerate": np.array([5.0] * 4 + [1.0] * 10 + [0.0] * 20),
    "indefinite": np.concatenate([np.linspace(3, 0, 20), -np.geomspace(9, 1e-2, 15)]),
    "negative": -np.linspace(1, 4, 12),
    "zero": np.zeros(6),
    "one": np.array([2.5]),
}


def assert_true_ones(found: Measurement, truth: Array, row: int = 0) -> None:
    """The value of each rank is the eigenvalue of that rank, to within the error it states."""
    assert found.error is not None
    rounding = 1e-14 * np.abs(truth).max()
    for i, rank in enumerate(found.coords["rank"]):
        assert found.status[row, i] == Status.ok
        expected = truth[int(rank) - 1] if int(rank) > 0 else truth[int(rank)]
        assert abs(found.values[row, i] - expected) <= found.error[row, i] + rounding, rank


@pytest.mark.parametrize("name", SPECTRA)
def test_prescribed_spectra(name: str) -> None:
    spectrum = np.sort(SPECTRA[name])[::-1]
    k, smallest = min(6, len(spectrum)), min(2, len(spectrum))
    snapshot = snapshot_of(quadratic(symmetric(spectrum)))
    found = measure(snapshot, "hessian_top", k=k, smallest=smallest, rtol=1e-6)
    assert found.coords == {
        "block": ("all",),
        "rank": (*range(1, k + 1), *range(-1, -smallest - 1, -1)),
    }
    assert_true_ones(found, spectrum)
    assert found.matvecs > 0


@pytest.mark.parametrize("make", [problems.linear_regression, problems.softmax_regression])
def test_closed_forms(make: object) -> None:
    problem, hessian = make()  # type: ignore[operator]
    found = measure(snapshot_of(problem), "hessian_top", k=5)
    assert_true_ones(found, eigenvalues(hessian))


@pytest.mark.parametrize("cut", [48, 20, 7])
def test_a_network_whatever_the_cut_into_batches(cut: int) -> None:
    problem = classifier(cut=cut)
    found = measure(snapshot_of(problem), "hessian_top", smallest=2)
    assert_true_ones(found, eigenvalues(problems.dense(problem)))
    assert found.values.shape == (1, 12)


def test_more_than_the_matrix_has_is_absent() -> None:
    snapshot = snapshot_of(quadratic(np.stack([symmetric([3, 2, 1.0], seed=s) for s in range(4)])))
    found = measure(snapshot, "hessian_top", k=5, smallest=4, groups=2)
    absent = [3, 4, 8]
    assert found.values.shape == (1, 9)
    assert (found.status[0] == Status.absent).nonzero()[0].tolist() == absent
    for array in (found.values, found.error, *found.beside.values()):
        assert array is not None
        assert array.shape == (1, 9)
    assert np.isfinite(found.beside["sampling_error"][0, [0, 1, 2, 5, 6, 7]]).all()
    assert np.isnan(found.beside["sampling_error"][0, absent]).all()


def test_weights_that_are_not_finite_fail_with_the_reason() -> None:
    problem = classifier()
    snapshot = snapshot_of(problem)
    snapshot.risk()  # passes the guards
    bad = {name: torch.full_like(p, math.nan) for name, p in problems.params_of(problem).items()}
    found = measure(snapshot_of(problem, bad), "hessian_top", k=2)
    assert (found.status == Status.failed).all()
    assert np.isnan(found.values).all()
    assert "not finite" in found.skipped["rank 1"]


def test_blocks_are_diagonal_blocks() -> None:
    problem = classifier()
    snapshot = snapshot_of(problem)
    layout, dense = snapshot.risk().layout, problems.dense(problem)
    found = measure(snapshot, "hessian_top", k=2, block="layer")
    assert found.coords["block"] == ("all", *layout.names)
    assert_true_ones(found, eigenvalues(dense))
    for row, name in enumerate(layout.names, start=1):
        own = dense[layout.slices[name], layout.slices[name]]
        assert_true_ones(found, eigenvalues(own), row)
    kinds = measure(snapshot, "hessian_top", k=2, block="kind")
    assert kinds.coords["block"] == ("all", "other", "bias")


@pytest.mark.parametrize(
    ("optimizer", "threshold"),
    [
        (lambda p: torch.optim.SGD(p, lr=0.1), 20.0),
        (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), 38.0),
        (lambda p: torch.optim.Adam(p, lr=0.1), math.nan),
    ],
)
def test_the_threshold_stands_beside(optimizer: object, threshold: float) -> None:
    problem = quadratic(symmetric([2.0, 1.0]))
    live = optimizer(problem.model.parameters())  # type: ignore[operator]
    found = measure(snapshot_of(problem, optimizer=live), "hessian_top", k=1)
    assert found.beside["learning_rate"][0, 0] == 0.1
    np.testing.assert_allclose(found.beside["threshold"][0, 0], threshold)
    bare = measure(snapshot_of(problem), "hessian_top", k=1)
    assert np.isnan(bare.beside["threshold"]).all()


def test_a_warm_start_saves_products_and_keeps_the_values() -> None:
    """Along a drifting series each value stays within its error of the true one."""
    problem = classifier(examples=200, features=12, hidden=10, classes=5, cut=100)
    warm = cold = 0
    earlier = None
    for step in range(5):
        params = problems.moved(problems.params_of(problem), 0.01 * step)
        truth = eigenvalues(problems.dense(problem, params))
        snapshot = snapshot_of(problem, params, step=step, earlier=earlier)
        found = measure(snapshot, "hessian_top", k=4)
        alone = measure(snapshot_of(problem, params, step=step), "hessian_top", k=4)
        assert_true_ones(found, truth)
        assert_true_ones(alone, truth)
        if earlier is not None:
            warm, cold = warm + found.matvecs, cold + alone.matvecs
        earlier = snapshot
    assert warm < 0.9 * cold


def test_a_warm_start_does_not_miss_a_new_direction() -> None:
    """An eigenvalue that rises in a direction orthogonal to all that was known."""
    turned = np.linalg.qr(np.random.default_rng(0).standard_normal((60, 60)))[0]
    earlier = None
    for top in (0.0, 20.0):
        values = np.concatenate([[10.0, 8.0, 6.0], np.linspace(1, 0, 56), [top]])
        problem = quadratic((turned * values) @ turned.T)
        snapshot = snapshot_of(problem, earlier=earlier)
        found = measure(snapshot, "hessian_top", k=3)
        assert_true_ones(found, np.sort(values)[::-1])
        earlier = snapshot


def test_the_jackknife_of_a_mean_is_the_standard_error() -> None:
    """Where the eigenvalue is a mean over examples, and each is a group: s/√N, and no bias."""
    numbers = np.random.default_rng(0).uniform(1, 2, 12)
    problem = quadratic(numbers[:, None, None])
    found = measure(snapshot_of(problem), "hessian_top", k=1, groups=12)
    expected = numbers.std(ddof=1) / math.sqrt(12)
    assert found.beside["sampling_error"][0, 0] == pytest.approx(expected, rel=1e-9)
    assert found.beside["sampling_bias"][0, 0] == pytest.approx(0.0, abs=1e-12)
