"""Participation ratio: (Σs²)² / Σs⁴."""

from __future__ import annotations

import pytest

from dyntools.metrics.weights.participation_ratio import measure
from tests.matrices import gaussian, snapshot


def test_a_gaussian_layer_has_half() -> None:
    found = measure(snapshot({"w": gaussian((400, 400), 0)}))
    assert found.beside["null"][0] == pytest.approx(200, rel=2e-3)
    assert found.values[0] == pytest.approx(200, rel=0.01)
