from __future__ import annotations

import numpy as np
import torch

from dyntools.linalg.lanczos import Eigenpairs
from dyntools.linalg.ritz import Ritz
from dyntools.measurement import Status
from dyntools.metrics.curvature import eigenpairs
from dyntools.problem import Engine
from tests.problems import classifier, snapshot_of


def ritz(values: list[float], errors: list[float], converged: list[bool]) -> Ritz:
    vectors = torch.eye(9, dtype=torch.float64)[: len(values)]
    found, off = np.array(values), np.array(errors)
    return Ritz(found, off, off, np.array(converged, dtype=bool), vectors)


def test_what_has_not_converged_is_nan_with_its_bound_and_its_last_value() -> None:
    top = ritz([5.0, 4.25, 3.0], [1e-6, 0.5, 1e-3], [True, False, True])
    bottom = ritz([-2.0], [1e-6], [True])
    pairs = Eigenpairs(top, bottom, 40, 2, False, "not converged after 40 products")
    found = eigenpairs.ranked(pairs, 4, 2, block="0.weight")
    ok, stuck, absent = Status.ok, Status.unconverged, Status.absent
    assert found.coords == {"rank": (1, 2, 3, 4, -1, -2)}
    assert found.status.tolist() == [ok, stuck, ok, absent, ok, absent]
    np.testing.assert_array_equal(found.values, [5.0, np.nan, 3.0, np.nan, -2.0, np.nan])
    np.testing.assert_array_equal(found.error, [1e-6, 0.5, 1e-3, np.nan, 1e-6, np.nan])
    assert list(found.skipped) == ["0.weight rank 2"]
    assert "4.25" in found.skipped["0.weight rank 2"]
    assert "40 products" in found.skipped["0.weight rank 2"]
    assert found.matvecs == 40


def test_equal_settings_share_the_work_and_others_do_not() -> None:
    snapshot = snapshot_of(classifier())
    first = eigenpairs.of_hessian(snapshot, 3, rtol=1e-3, seed=0)
    spent = snapshot.risk().products
    assert eigenpairs.of_hessian(snapshot, 3, rtol=1e-3, seed=0) is first
    assert snapshot.risk().products == spent
    for other in ({"rtol": 1e-4, "seed": 0}, {"rtol": 1e-3, "seed": 1}):
        assert eigenpairs.of_hessian(snapshot, 3, **other) is not first  # type: ignore[arg-type]


def test_a_limit_on_the_basis_is_kept_and_the_values_stay() -> None:
    free = snapshot_of(classifier())
    tight = snapshot_of(classifier(engine=Engine(dtype=torch.float64, basis_memory=8 * 59 * 9)))
    a = eigenpairs.of_hessian(free, 3, rtol=1e-6, seed=0)
    b = eigenpairs.of_hessian(tight, 3, rtol=1e-6, seed=0)
    assert b.restarts > a.restarts
    np.testing.assert_allclose(a.largest.values, b.largest.values, rtol=1e-6)
