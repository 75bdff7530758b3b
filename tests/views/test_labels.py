"""Labels beside lines keep their distance and stay near their lines."""

from __future__ import annotations

import numpy as np
import pytest

from dyntools.views.labels import apart


@pytest.mark.parametrize("wanted", [[5.0], [1.0, 1.0, 1.0], [9.0, 0.0, 9.1, 8.9], [50.0, -50.0]])
def test_at_least_the_distance_apart_and_within_the_axis(wanted: list[float]) -> None:
    places = apart(np.array(wanted), 2.0, 0.0, 10.0)
    assert np.all(np.diff(np.sort(places)) >= 2.0 - 1e-9)
    assert places.min() >= 0
    assert places.max() <= 10


def test_labels_with_room_do_not_move() -> None:
    assert apart(np.array([7.0, 1.0]), 2.0, 0.0, 10.0).tolist() == [7.0, 1.0]


def test_a_cluster_is_spread_about_its_mean_in_order() -> None:
    assert apart(np.array([5.0, 5.1, 4.9]), 2.0, 0.0, 10.0) == pytest.approx([5.0, 7.0, 3.0])
