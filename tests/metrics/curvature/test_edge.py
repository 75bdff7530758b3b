from __future__ import annotations

import numpy as np
import pytest

from dyntools.checkpoint import OptimizerState
from dyntools.errors import CheckpointError
from dyntools.metrics.curvature.edge import companions
from dyntools.snapshot import Snapshot, Tensors


def snapshot(state: OptimizerState | None) -> Snapshot:
    return Snapshot(0, Tensors.of({}), open_optimizer=lambda: state)


@pytest.mark.parametrize(
    ("family", "preconditioned", "threshold"),
    [("sgd", False, 20.0), ("sgd", True, np.nan), ("adam", True, 20 * 19), ("adam", False, np.nan)],
)
def test_each_optimizer_has_its_threshold_beside_its_own_matrix(
    family: str, preconditioned: bool, threshold: float
) -> None:
    state = OptimizerState(family, ({"lr": 0.1, "betas": (0.9, 0.99)},), {}, "")
    found = companions(snapshot(state), np.zeros((2, 3)), preconditioned=preconditioned)
    np.testing.assert_array_equal(found["learning_rate"], np.full((2, 3), 0.1))
    np.testing.assert_allclose(found["threshold"], np.full((2, 3), threshold))


def test_an_optimizer_that_cannot_be_read_leaves_them_out() -> None:
    def broken() -> OptimizerState:
        raise CheckpointError("The optimizer is damaged.")

    for one in (Snapshot(0, Tensors.of({}), open_optimizer=broken), snapshot(None)):
        found = companions(one, np.zeros(1), preconditioned=False)
        assert np.isnan(found["learning_rate"]).all()
        assert np.isnan(found["threshold"]).all()
