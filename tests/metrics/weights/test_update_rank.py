"""Update rank: the rank of what was added, not of what was there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dyntools.measurement import Status
from dyntools.metrics.weights.update_rank import measure
from tests.matrices import exact, gaussian, prescribed, snapshot


def entropy_rank(values: np.ndarray) -> float:
    share = values.astype(np.longdouble) / values.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def test_a_low_rank_update_of_a_full_rank_matrix() -> None:
    then = gaussian((80, 60), 0).double()
    now = then + prescribed((80, 60), np.ones(5), seed=1)
    found = measure(snapshot({"w": now}, previous={"w": then}))
    assert found.values[0] == pytest.approx(5.0, rel=1e-6)
    assert found.beside["relative"][0] == pytest.approx(5 / 60, rel=1e-6)


def test_noise_has_the_rank_of_the_null() -> None:
    then = gaussian((300, 200), 0)
    now = then + 1e-2 * gaussian((300, 200), 1)
    found = measure(snapshot({"w": now}, previous={"w": then}))
    assert found.values[0] == pytest.approx(found.beside["null"][0], rel=5e-3)


@pytest.mark.parametrize("seed", range(5))
def test_the_error_bounds_the_error(seed: int) -> None:
    change, values = exact(64, seed)
    grid = np.random.default_rng(seed).integers(-(2**24), 2**24, (64, 64)) / 64
    then = torch.from_numpy(grid)
    found = measure(snapshot({"w": then + change}, previous={"w": then}))
    assert found.error is not None
    assert abs(found.values[0] - entropy_rank(values)) <= found.error[0] < 1e-6


def test_since_the_start() -> None:
    start = gaussian((30, 20), 0).double()
    then, now = (start + prescribed((30, 20), np.ones(r), seed=r) for r in (9, 3))
    found = measure(
        snapshot({"w": now}, initial={"w": start}, previous={"w": then}), since="initial"
    )
    assert found.values[0] == pytest.approx(3.0, rel=1e-6)


def test_unchanged_fails_and_missing_is_skipped() -> None:
    w = gaussian((5, 4), 0)
    found = measure(snapshot({"w": w, "new": w, "b": torch.ones(3)}, previous={"w": w}))
    assert found.coords["layer"] == ("w", "new")
    assert found.status.tolist() == [Status.failed, Status.skipped]
    assert "did not change" in found.skipped["w"]
    assert "b" in found.skipped
