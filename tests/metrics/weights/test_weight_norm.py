"""Weight norm: of every parameter, in float64, beside its start."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dyntools.measurement import Status
from dyntools.metrics.weights.weight_norm import measure
from tests.matrices import gaussian, snapshot


def test_known_norms_and_their_companions() -> None:
    now = {"w": torch.tensor([[3.0, 4.0]]), "b": torch.tensor([-2.0])}
    found = measure(snapshot(now, initial={"w": torch.tensor([[0.0, 10.0]]), "b": torch.zeros(1)}))
    assert found.coords["layer"] == ("w", "b")
    assert found.values.tolist() == [5.0, 2.0]
    assert found.beside["rms"].tolist() == pytest.approx([5 / math.sqrt(2), 2.0])
    assert found.beside["initial"].tolist() == [10.0, 0.0]
    assert found.beside["ratio_to_initial"][0] == 0.5
    assert math.isnan(found.beside["ratio_to_initial"][1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_the_error_bounds_the_error(dtype: torch.dtype) -> None:
    for seed in range(5):
        w = gaussian((700, 500), seed).to(dtype)
        x = w.double().numpy().astype(np.longdouble).ravel()
        found = measure(snapshot({"w": w}))
        assert found.error is not None
        assert abs(found.values[0] - np.sqrt(x @ x)) <= found.error[0]


def test_zero_is_a_norm_and_nan_is_none() -> None:
    found = measure(snapshot({"z": torch.zeros(3), "n": torch.tensor([1.0, math.inf])}))
    assert found.values[0] == 0.0
    assert found.status.tolist() == [Status.ok, Status.failed]
