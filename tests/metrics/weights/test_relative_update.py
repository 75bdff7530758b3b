"""Relative update: the change over the norm, per step, of every parameter."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dyntools.measurement import Status
from dyntools.metrics.weights.relative_update import measure
from tests.matrices import gaussian, snapshot


def test_a_known_change() -> None:
    then = {"w": torch.tensor([[3.0, 4.0]]), "b": torch.tensor([2.0])}
    now = {"w": torch.tensor([[3.0, 5.0]]), "b": torch.tensor([2.0])}
    found = measure(snapshot(now, previous=then, step=40, previous_step=30))
    assert found.coords["layer"] == ("w", "b")
    assert found.values.tolist() == pytest.approx([0.02, 0.0])
    assert found.beside["total"].tolist() == pytest.approx([0.2, 0.0])


def test_one_unit_in_the_last_place_is_seen_and_the_error_holds() -> None:
    for seed in range(10):
        then = gaussian((60, 50), seed)
        now = torch.nextafter(then, torch.tensor(10.0))
        x, y = (t.double().numpy().ravel().astype(np.longdouble) for t in (now, then))
        true = float(np.sqrt((x - y) @ (x - y)) / np.sqrt(y @ y)) / 10
        found = measure(snapshot({"w": now}, previous={"w": then}))
        assert found.error is not None
        assert 0 < true < 1e-7
        assert abs(found.values[0] - true) <= found.error[0]


def test_zero_before_fails_and_a_new_parameter_is_skipped() -> None:
    now = {"b": torch.ones(3), "new": torch.ones(2)}
    found = measure(snapshot(now, previous={"b": torch.zeros(3)}))
    assert found.status.tolist() == [Status.failed, Status.skipped]
    assert set(found.skipped) == {"b", "new"}
