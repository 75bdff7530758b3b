"""Metrics of curvature in tables and figures: ranks, blocks, directions, densities, planes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dyntools.report import Report, Series
from dyntools.views import tables
from dyntools.views.plots import plots, save
from dyntools.views.selection import with_step
from tests.views.test_tables import printed, screenshot


def figure_of(report: Report, metric: str, stem: str = "") -> Figure:
    return dict(plots(report, metric))[stem or metric]


def panel_of(report: Report, metric: str, stem: str = "") -> Axes:
    return figure_of(report, metric, stem).axes[0]


def words_of(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.texts)


def test_summary_at_80_columns(curvature: Report) -> None:
    assert printed(tables.summary(curvature)) == screenshot("""
        Whole model at step 400
        metric           of                       value  along steps  threshold
        ───────────────────────────────────────────────────────────────────────
        hessian_top      rank 1                    21.0  ▁▅██              20.0
        hessian_top      rank -2                  -1.05  █▄▁▁                 –
        adam_sharpness   rank 1                     399  ▁▅██               380
        batch_sharpness  batch size 8              32±3  ▁▅██                 –
        batch_sharpness  batch size 4096           21.0  ▁▅██                 –
        sam_sharpness                     0.0105±0.0001  ▁▅██                 –
        no room at this width: unit
        probe 961e3967027e8aa2: 300 examples, eval, float32

        Further metrics over the blocks or directions, at the last step
        metric                 median  highest  in        lowest  in
        ──────────────────────────────────────────────────────────────────
        block_sharpness          1.59     3.15  0.weight  0.0210  2.weight
        directional_sharpness    2.68     5.25  gradient   0.105  update
        also measured: hessian_density (block × relative eigenvalue), loss_slice
        (offset), loss_plane (along × across)

        """)


def test_summary_at_120_columns_has_room_for_all(curvature: Report) -> None:
    text = printed(tables.summary(curvature), 120)
    assert "no room" not in text
    assert "loss / weight²" in text


def test_ranks_keep_their_order_and_say_once_what_all_share(curvature: Report) -> None:
    whole = replace(curvature["hessian_top"], dims=("rank",), coords={"rank": (1, 2, -1)})
    whole = replace(
        whole,
        values=np.array([[3.0, 2.0, -1.0]] * 2),
        status=np.zeros((2, 3), dtype=np.int8),
        error=None,
        steps=np.array([0, 10]),
        beside={"threshold": np.full((2, 3), 20.0), "sampling_bias": np.full((2, 3), np.nan)},
    )
    assert printed(tables.metric_table(whole)) == screenshot("""
        hessian_top: largest eigenvalues of the Hessian of the loss
        2 steps, 0 to 10 · in loss / weight² · Author 2020, arXiv:2001.00001 · threshold
        20.0
        rank  step 0  step 10  change  along steps
        ──────────────────────────────────────────
        1       3.00     3.00       0  ▄▄
        2       2.00     2.00       0  ▄▄
        -1     -1.00    -1.00       0  ▄▄
        probe 961e3967027e8aa2: 300 examples, eval, float32
        """)


def test_blocks_by_ranks_show_the_first_ranks_and_the_last(curvature: Report) -> None:
    assert printed(tables.metric_table(curvature["hessian_top"])) == screenshot("""
        hessian_top: largest eigenvalues of the Hessian of the loss
        4 steps, 0 to 400 · in loss / weight² · Author 2020, arXiv:2001.00001 · at step
        400
                  along     rank       rank       rank       rank          rank
        block     rank         1          2          3          4            -2
        ───────────────────────────────────────────────────────────────────────
        all       █▆▅▄▃▃▁▁  21.0       16.8       14.7       12.6         -1.05
        0.weight  █▇▅▄▃▃▁▁  12.6       10.1  8.82±0.01  7.56±0.01  -0.630±0.001
        2.weight  █▆▅▄▃▃▁▁  10.5  8.40±0.01  7.35±0.01  6.30±0.01  -0.525±0.001
        probe 961e3967027e8aa2: 300 examples, eval, float32
        """)


def test_a_long_axis_is_named_once(curvature: Report) -> None:
    text = printed(tables.metric_table(curvature["hessian_density"]))
    assert text.count("relative eigenvalue") == 2  # in the unit and in the note
    assert "no room" not in text


def test_an_axis_alone_has_a_row_a_step(curvature: Report) -> None:
    assert printed(tables.metric_table(curvature["loss_slice"])) == screenshot("""
        loss_slice: what it is
        4 steps, 0 to 400 · in loss · Author 2020, arXiv:2001.00001
              along   offset  offset  offset  offset  offset
        step  offset      -1  -0.500       0   0.500       1
        ────────────────────────────────────────────────────
        0     █▂▁▂█    0.800   0.575   0.500   0.575   0.800
        100   █▃▁▃█     1.20   0.675   0.500   0.675    1.20
        200   █▃▁▃█     1.52   0.755   0.500   0.755    1.52
        400   █▂▁▂█     1.55   0.762   0.500   0.762    1.55
        probe 961e3967027e8aa2: 300 examples, eval, float32
        """)


def test_columns_without_room_are_told_in_every_table(
    realistic: Callable[[int, int], Report],
) -> None:
    assert "no room at this width: " in printed(tables.summary(realistic(2, 4)), 60)


def test_every_metric_has_its_figures(curvature: Report, tmp_path: Path) -> None:
    drawn = []
    for stem, figure in plots(curvature):
        for path in save(figure, tmp_path, stem):
            assert path.stat().st_size > 1000
        drawn.append(stem)
    names = list(curvature.series)
    assert drawn == ["overview", names[0], "hessian_top_blocks", *names[1:]]


@pytest.mark.parametrize("metric", ["hessian_top", "batch_sharpness", "loss_slice", "loss_plane"])
def test_one_step_is_drawn_too(curvature: Report, tmp_path: Path, metric: str) -> None:
    series = with_step(curvature[metric], 400)
    for stem, figure in plots(replace(curvature, series={metric: series})):
        save(figure, tmp_path, stem)


def test_eigenvalues_are_lines_beside_their_threshold(curvature: Report) -> None:
    axes = panel_of(curvature, "hessian_top")
    lines = [line.get_ydata() for line in axes.get_lines() if len(line.get_ydata()) == 4]
    top = curvature["hessian_top"].values[:, 0]
    for rank in range(12):
        assert any(np.array_equal(line, top[:, rank]) for line in lines)
    assert any(np.array_equal(line, [20.0] * 4) for line in lines)
    names = [text.get_text() for text in axes.texts]
    assert {"rank 1", "2", "-2", "threshold"} <= set(names)
    assert "bars: standard error of the sample of examples" in names
    low, high = axes.get_ylim()
    assert low < top.min()
    assert high > top.max()


def test_blocks_are_drawn_without_the_whole(curvature: Report) -> None:
    axes = panel_of(curvature, "hessian_top", "hessian_top_blocks")
    names = [text.get_text() for text in axes.texts]
    assert names == ["0.weight", "2.weight"]


def test_the_caption_names_the_probe(curvature: Report) -> None:
    for metric in curvature.series:
        told = "probe 961e3967027e8aa2: 300 examples, eval, float32"
        assert told in words_of(figure_of(curvature, metric))


def test_a_density_is_drawn_over_decades(curvature: Report) -> None:
    axes = panel_of(curvature, "hessian_density")
    assert axes.get_yscale() == "log"
    assert axes.get_title(loc="left") == "all   1 = 21.0 at step 400"


def test_a_band_far_wider_than_its_line_is_cut(build: Callable[..., Series]) -> None:
    series = build(
        "share", [0, 1, 2], [0.2, 0.5, 0.4], dims=(), error=[0.01, 100.0, 0.01], group="curvature"
    )
    low, high = panel_of(Report(series={"share": series}), "share").get_ylim()
    assert -0.5 < low < 0.2
    assert 0.5 < high < 1.0


def test_the_page_of_the_run_shows_the_edge(
    curvature: Report, realistic: Callable[[int, int], Report]
) -> None:
    report = realistic(2, 4)
    whole = {"hessian_top": curvature["hessian_top"], **report.series}
    page = dict(plots(replace(report, series=whole)))["overview"]
    titles = [axes.get_title(loc="left") for axes in page.axes]
    assert "Sharpness, and the threshold of the optimizer" in titles
    no_threshold = replace(curvature["hessian_top"], beside={})
    page = dict(plots(replace(report, series={**whole, "hessian_top": no_threshold})))["overview"]
    assert "Sharpness" not in " ".join(axes.get_title(loc="left") for axes in page.axes)
