"""Effective rank: exp(entropy of s)."""

from __future__ import annotations

import pytest

from dyntools.metrics.weights.effective_rank import measure
from tests.matrices import gaussian, snapshot


def test_a_gaussian_layer_has_the_published_share() -> None:
    """0.805 of k for a square layer with s; 0.607 would be the variant with s²."""
    found = measure(snapshot({"w": gaussian((400, 400), 0)}))
    assert found.beside["relative"][0] == pytest.approx(0.8050, abs=2e-3)
    assert found.values[0] == pytest.approx(found.beside["null"][0], rel=2e-3)
