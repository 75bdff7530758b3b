"""The order of rows and the choice of colours."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LogNorm

from dyntools.views.heat_map import arranged, colour_scale
from dyntools.views.style import DIVERGING, SEQUENTIAL


def test_few_layers_stay_in_the_order_of_the_model() -> None:
    assert [row.position for row in arranged(["b.0", "a.0", "b.1"])] == [0, 1, 2]


def test_many_layers_are_grouped_by_kind_in_order_of_depth() -> None:
    names = ["wte", *(f"h.{i}.{part}" for i in range(30) for part in ("attn", "mlp"))]
    shown = [names[row.position] for row in arranged(names)]
    assert shown[0] == "wte"
    assert shown[1:31] == [f"h.{i}.attn" for i in range(30)]


def test_both_signs_diverge_about_zero() -> None:
    norm, colours, _ = colour_scale(np.array([-1.0, 0.5, 2.0]))
    assert colours == DIVERGING
    assert (norm.vmin, norm.vmax) == (-2, 2)


def test_decades_are_logarithmic() -> None:
    norm, colours, _ = colour_scale(np.array([1.0, 10.0, 1e4]))
    assert isinstance(norm, LogNorm)
    assert colours == SEQUENTIAL


def test_one_outlier_does_not_stretch_the_scale() -> None:
    norm, _, extend = colour_scale(np.append(np.linspace(1, 2, 500), 1000.0))
    assert norm.vmax is not None
    assert norm.vmax < 3
    assert extend == "max"


def test_a_constant_and_nothing_at_all_have_a_scale() -> None:
    for values in (np.zeros(3), np.ones(3), np.full(3, np.nan)):
        norm, _, _ = colour_scale(values)
        assert norm.vmin is not None
        assert norm.vmax is not None
        assert norm.vmax > norm.vmin
