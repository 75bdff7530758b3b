"""Stable rank: |W|²_F / s_1²."""

from __future__ import annotations

import pytest

from dyntools.metrics.weights.stable_rank import measure
from tests.matrices import gaussian, snapshot


def test_a_gaussian_layer_has_a_quarter() -> None:
    found = measure(snapshot({"w": gaussian((400, 400), 0)}))
    assert found.beside["null"][0] == 100.0
    assert found.values[0] == pytest.approx(100.0, rel=0.06)
