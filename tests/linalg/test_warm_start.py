from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dyntools.linalg.lanczos import lanczos
from dyntools.linalg.operator import Operator
from dyntools.linalg.probes import normals
from dyntools.linalg.warm_start import warm_start
from tests.quadratics import Counted, quadratic

# As a network's: ten outliers over a bulk that decays fast, most of it near zero.
RNG = np.random.default_rng(0)
HESSIAN = np.concatenate([np.linspace(1, 3, 10), 0.9 * RNG.uniform(-0.3, 1, 590) ** 5])


def _drifting(steps: int, angle: float) -> list[Counted]:
    """Neighbouring matrices: each turns the last by a random rotation of that angle or so."""
    generator = torch.Generator().manual_seed(5)
    values, n = torch.from_numpy(HESSIAN), len(HESSIAN)
    q = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64)).Q
    series = []
    for _ in range(steps):
        skew = torch.randn(n, n, generator=generator, dtype=torch.float64)
        turn = torch.linalg.matrix_exp(angle / n**0.5 * (skew - skew.T) / 2**0.5)
        q = turn @ q
        series.append(Counted((q * values) @ q.T))
    return series


@pytest.mark.parametrize(("k", "share"), [(1, 0.6), (10, 0.8)])
def test_warm_starts_save_products_along_a_series(k: int, share: float) -> None:
    cold = warm = 0
    before: Tensor | None = None
    for step, counted in enumerate(_drifting(5, 0.1)):
        fresh = lanczos(counted.operator, k, seed=step)
        found = fresh
        if before is not None:
            start = warm_start(counted.operator, before, step)
            found = lanczos(counted.operator, k, start=start, seed=step)
            cold, warm = cold + fresh.products, warm + found.products
        exact = np.linalg.eigvalsh(counted.matrix.numpy())[::-1][:k]
        assert np.abs(found.largest.values / exact - 1).max() < 1e-3
        before = found.largest.vectors
    assert warm <= share * cold, (warm, cold)


@pytest.mark.parametrize("k", [1, 5])
def test_a_new_outlier_orthogonal_to_the_old_vectors_is_not_missed(k: int) -> None:
    """Without the wait for the random part every third start ended on the old value (n = 1e5)."""
    n = 20_000
    diagonal = 0.1 * torch.randn(n, generator=torch.Generator().manual_seed(0))
    diagonal[:k] = torch.linspace(1.5, 1, k) if k > 1 else 1.0
    diagonal[777] = 3.0
    operator = Operator(lambda v: diagonal * v, n)
    old = torch.eye(k, n)
    for seed in range(40):
        found = lanczos(operator, k, start=warm_start(operator, old, seed), seed=seed)
        assert abs(found.largest.values[0] - 3) < 3e-3


def test_a_warm_start_from_nothing_is_a_random_one() -> None:
    operator = quadratic(HESSIAN).operator
    start = warm_start(operator, torch.zeros(2, operator.size), 4)
    noise = normals(operator, 4, 1)
    assert torch.allclose(start / start.norm(), noise / noise.norm())
    found = lanczos(operator, 1, start=torch.zeros(operator.size))  # no direction at all
    assert abs(found.largest.values[0] - 3) < 3e-3
