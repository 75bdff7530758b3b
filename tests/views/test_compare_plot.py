"""The picture of a comparison."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dyntools.comparison.compared import compare
from dyntools.comparison.coordinate_check import coordinate_check
from dyntools.comparison.lr_sensitivity import lr_sensitivity
from dyntools.comparison.width_transfer import width_transfer
from dyntools.log import Role
from dyntools.views import compare_plot
from tests.comparison.reports import report, series, side
from tests.views.test_compare_tables import two, widths


def test_runs_are_lines_named_at_their_ends(tmp_path: Path) -> None:
    figure = compare_plot.metric_figure(compare(two(), "weight_norm"))
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "a.weight", "b.weight", "c.weight",
    ]  # fmt: skip
    first = figure.axes[0]
    assert [line.get_ydata().tolist() for line in first.lines] == [[1, 2], [1, 3]]
    assert {text.get_text() for text in first.texts} == {"base", "wide"}
    compare_plot.save(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_of_many_entries_the_furthest_apart_are_drawn() -> None:
    layers = [f"{i}" for i in range(20)]
    made = [side(n, report(series("m", (0, 1), np.ones((2, 20)) + i * np.arange(20) / 100,
                                  layers=layers))) for i, n in enumerate("ab")]  # fmt: skip
    figure = compare_plot.metric_figure(compare(made, "m"))
    assert [axes.get_title(loc="left") for axes in figure.axes] == layers[-compare_plot.PANELS :]


def test_a_group_is_its_mean_over_its_seeds() -> None:
    sides = [side(n, *(report(series("m", (0, 1), [x, x])) for x in (i, i + 2.0)))
             for i, n in enumerate("ab")]  # fmt: skip
    (axes,) = compare_plot.metric_figure(compare(sides, "m")).axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [
        [0, 0], [2, 2], [1, 1], [1, 1], [3, 3], [2, 2],
    ]  # fmt: skip
    assert {text.get_text() for text in axes.texts} == {"a", "b"}


def test_one_seed_left_has_no_band() -> None:
    """Its error is not known, and a band of no width would say that it is zero."""
    sides = [side(n, report(series("m", (0, 1, 2), [1.0, 2.0, 3.0])),
                  report(series("m", (0, 1, 2), [2.0, 4.0, np.nan])))
             for n in "ab"]  # fmt: skip
    (axes,) = compare_plot.metric_figure(compare(sides, "m")).axes
    ends = [line.get_xdata()[-1] for line in axes.lines]
    assert axes.lines[2].get_ydata().tolist() == [1.5, 3, 3]
    drawn = np.concatenate([path.vertices for path in axes.collections[0].get_paths()])
    assert drawn[:, 0].max() < max(ends)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_views_are_drawn(suffix: str, tmp_path: Path) -> None:
    runs = [
        side(f"{rate:g}", report(log={Role.learning_rate: [rate], Role.validation_loss: [2.0, 1]}))
        for rate in (1e-3, 1e-2)
    ]
    figures = (
        compare_plot.width_figure(width_transfer(widths(), {})),
        compare_plot.coordinate_figure(coordinate_check(widths(), {})),
        compare_plot.sensitivity_figure(lr_sensitivity(runs, {})),
    )
    for i, figure in enumerate(figures):
        path = tmp_path / f"{i}.{suffix}"
        compare_plot.save(figure, path)
        first = path.read_bytes()
        compare_plot.save(figure, path)
        assert path.read_bytes() == first


def test_words_that_the_font_lacks_are_escaped() -> None:
    made = [side(n, report(series("m", (0, 1), [[1.0], [2.0]], layers=("层",)))) for n in "ab"]
    (axes,) = compare_plot.metric_figure(compare(made, "m")).axes
    assert axes.get_title(loc="left") == "\\u5c42"
