"""Figures of layers against named alternatives: their order, numbers, empty and infinite cells."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from dyntools.report import Report
from dyntools.views import plots
from dyntools.views.dims import in_order
from tests.adam_memory.hand_made import compression_series, report, snr_series


def two_layers() -> Report:
    """A matrix, and a vector whose second moment is constant."""
    shapes = {"h.0.mlp.c_fc.weight": (8, 32), "h.0.mlp.c_fc.bias": (32,)}
    snr = {
        "h.0.mlp.c_fc.weight": {"0": [4.0], "1": [0.5], "0,1": [0.2]},
        "h.0.mlp.c_fc.bias": {"0": [math.inf]},
    }
    errors = {
        "h.0.mlp.c_fc.weight": {"axes 0": [0.1], "8-bit": [0.01]},
        "h.0.mlp.c_fc.bias": {"axes 0": [0.0]},
    }
    return report(
        snr_series(shapes, snr, steps=(10,)), compression_series(shapes, errors, steps=(10,))
    )


def test_sets_of_axes_are_ordered_by_how_many_they_are_and_which() -> None:
    labels = ("0", "2", "10", "0,2", "1", "0,1")
    assert [labels[i] for i in in_order(labels)] == ["0", "1", "2", "10", "0,1", "0,2"]


def test_forms_follow_the_sets_of_axes_as_they_come() -> None:
    labels = ("8-bit", "axes 0,1", "factored", "axes 1")
    assert [labels[i] for i in in_order(labels)] == ["axes 1", "axes 0,1", "8-bit", "factored"]


def test_numbers_keep_their_order() -> None:
    assert in_order((3.0, 1.0, 2.0)) == [0, 1, 2]


@pytest.mark.parametrize("metric", ["second_moment_snr", "second_moment_compression"])
def test_a_metric_of_layers_and_names_has_a_figure(metric: str) -> None:
    figures = dict(plots.plots(two_layers(), metric))
    assert list(figures) == [metric]
    texts = [text.get_text() for text in figures[metric].axes[0].texts]
    assert ("∞" in texts) == (metric == "second_moment_snr")
    assert any("empty" in text for text in texts) or metric != "second_moment_snr"


def test_a_figure_of_many_layers_has_no_numbers_in_its_cells() -> None:
    shapes = {f"h.{i}.mlp.c_fc.weight": (4, 8) for i in range(60)}
    snr = {name: {"0": [2.0], "1": [0.5], "0,1": [0.1]} for name in shapes}
    series = snr_series(shapes, snr, steps=(10,))
    (figure,) = [f for _, f in plots.plots(report(series), "second_moment_snr")]
    written = [text.get_text() for text in figure.axes[0].texts]
    assert not any(re.fullmatch(r"\d\.\d+", text) for text in written)
    assert np.isfinite(figure.get_size_inches()).all()
