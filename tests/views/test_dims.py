"""What kind of axis a dim is, and what of a series speaks of the whole model."""

from __future__ import annotations

import numpy as np
import pytest

from dyntools.measurement import Coordinate
from dyntools.report import Report
from dyntools.views.dims import alone, choice, firsts, is_axis, is_index, is_numeric, whole


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (("a", "b"), "names"),
        ((1, 2, -1), "index"),
        ((8.0, 64.0), "index"),
        ((0.0, 0.5, 1.0), "axis"),
        ((), "names"),
    ],
)
def test_kinds_of_axis(labels: Coordinate, kind: str) -> None:
    assert is_index(labels) == (kind == "index")
    assert is_axis(labels) == (kind == "axis")
    assert is_numeric(labels) == (kind != "names")


def test_choice() -> None:
    assert choice((1, 2, 3), 5) == [0, 1, 2]
    assert choice(tuple(range(1, 13)), 5) == [0, 1, 2, 3, 11]
    assert choice(tuple(x / 8 for x in range(9)), 5) == [0, 2, 4, 6, 8]
    assert choice(("a",) * 9, 5) == list(range(9))


def test_whole(curvature: Report) -> None:
    top = whole(curvature["hessian_top"])
    assert top is not None
    assert top.dims == ("rank",)
    assert top.values[0].tolist() == curvature["hessian_top"].values[0, 0].tolist()
    assert top.beside["threshold"].shape == top.values.shape
    for metric in ("sam_sharpness", "adam_sharpness", "batch_sharpness"):
        assert whole(curvature[metric]) is curvature[metric]
    for metric in ("block_sharpness", "directional_sharpness", "hessian_density", "loss_slice"):
        assert whole(curvature[metric]) is None


def test_firsts_and_alone(curvature: Report) -> None:
    series = curvature["hessian_top"]
    assert firsts(series).dims == ("block",)
    np.testing.assert_array_equal(firsts(series).values, series.values[:, :, 0])
    assert alone(series) is series
    assert alone(curvature["hessian_density"]).dims == ("block", "relative_eigenvalue")
