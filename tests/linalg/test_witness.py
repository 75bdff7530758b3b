from __future__ import annotations

import numpy as np
import torch

from dyntools.linalg.krylov import Krylov
from tests.quadratics import quadratic


def test_no_eigenvector_has_a_larger_share_in_the_start_than_the_bound() -> None:
    """c_1² ≤ 1/K(λ) at every true eigenvalue, before and after restarts; near equality at the ones
    that dominate the basis shows that the bound is not idle. (Further on K there is rounding.)"""
    spectrum = np.concatenate(
        [[3.0, 2.5, -2.0], 0.3 * np.random.default_rng(0).standard_normal(97)]
    )
    counted = quadratic(spectrum)
    values, vectors = np.linalg.eigh(counted.matrix.numpy())
    for width in (8, 50):
        run = Krylov(counted.operator, width, 100, seed=0, offload=False)
        run.begin(None)
        start = run.basis[0].numpy().copy()
        for _ in range(12):
            assert run.step()
            witness = run.witness
            assert witness is not None
            run.restart_if_full(2, 1)
        assert (run.restarts > 0) == (width == 8)
        share = np.log((vectors.T @ start) ** 2)
        bound = -witness.log_kernel(values)
        assert (share <= bound + 1e-3).all()
        if width == 50:
            assert (bound - share)[[0, -2, -1]].max() < 1e-6


def test_what_the_start_cannot_have_missed() -> None:
    """Far outside the spectrum everything is excluded, at a found eigenvalue nothing is."""
    run = Krylov(quadratic(np.linspace(-1, 1, 200)).operator, 60, 200, seed=0, offload=False)
    run.begin(None)
    for _ in range(15):
        run.step()
    witness = run.witness
    assert witness is not None
    assert witness.excludes(np.array([3.0, -3.0])).all()
    assert not witness.excludes(run.projection.values[-1:]).any()
    assert torch.isfinite(torch.from_numpy(witness.log_kernel(np.linspace(-4, 4, 99)))).all()
