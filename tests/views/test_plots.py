"""Figures: drawn without a warning (warnings are errors here), written twice to the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from dyntools.errors import ReportError
from dyntools.measurement import Status
from dyntools.report import Report, Series
from dyntools.views.plots import plots, save
from dyntools.views.style import HEAD, heading, panel, styled


def drawn(report: Report, directory: Path, metric: str | None = None) -> list[str]:
    stems = []
    for stem, figure in plots(report, metric):
        for path in save(figure, directory, stem):
            assert path.stat().st_size > 1000
        stems.append(stem)
    return stems


def test_each_kind_of_metric_has_a_figure(
    realistic: Callable[[int, int], Report], tmp_path: Path
) -> None:
    report = realistic(2, 4)
    assert drawn(report, tmp_path) == ["overview", "training", *report.series]


def test_many_layers_and_steps(realistic: Callable[[int, int], Report], tmp_path: Path) -> None:
    assert "layer_rotation" in drawn(realistic(10, 15), tmp_path)


def test_a_single_step_is_drawn_as_dots(
    realistic: Callable[[int, int], Report], tmp_path: Path
) -> None:
    assert "spectral_alpha" in drawn(realistic(2, 1), tmp_path)
    assert drawn(realistic(15, 1), tmp_path, "effective_rank") == ["effective_rank"]


def test_few_layers_with_gaps_and_decades(small: Report, tmp_path: Path) -> None:
    assert drawn(small, tmp_path) == ["overview", "training", *small.series]


def test_the_same_figure_is_the_same_bytes(small: Report, tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for directory in (first, second):
        directory.mkdir()
        drawn(small, directory)
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()


@pytest.mark.parametrize("logarithmic", [False, True])
def test_steps_on_both_scales(
    realistic: Callable[[int, int], Report], tmp_path: Path, logarithmic: bool
) -> None:
    report = realistic(2, 14)
    steps = np.array([0, *2 ** np.arange(13)]) if logarithmic else np.arange(14) * 10
    series = replace(report["layer_rotation"], steps=steps)
    drawn(Report({}, {"layer_rotation": series}), tmp_path)


def test_hostile_names_are_text(build: Callable[..., Series], tmp_path: Path) -> None:
    names = ("$x^2$", "[bold]y[/bold]", "名前", "a\x1b[31m", "<script>alert(1)</script>", "\\frac{")
    values = np.arange(12.0).reshape(2, 6)
    series = build("m", [0, 1], values, coords={"layer": names}, what="$\\frac{1}{2}")
    drawn(Report({"run": "$run <b>"}, {"m": series}), tmp_path)
    assert "<script>" not in (tmp_path / "m.svg").read_text()


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (3, 30), (14, 60)])
def test_awkward_values(
    build: Callable[..., Series], tmp_path: Path, shape: tuple[int, int]
) -> None:
    steps, layers = list(range(shape[0])), {"layer": tuple(f"l.{i}" for i in range(shape[1]))}
    random = np.random.default_rng(0).standard_normal(shape)
    partly = np.where(random > 1, np.nan, random)
    cases = {
        "signs": random,
        "constant": np.zeros(shape),
        "decades": 10 ** (5 * random),
        "huge": 1e300 * np.sign(random),
        "infinite": np.where(random > 1, np.inf, random),
        "partly": partly,
        "nothing": np.full(shape, np.nan),
    }
    series = {
        name: build(name, steps, values, coords=layers, error=np.abs(values))
        for name, values in cases.items()
    }
    stems = drawn(Report({}, series), tmp_path)
    assert "nothing" not in stems
    assert "signs" in stems


def test_logs_alone_weights_alone_and_nothing(small: Report, tmp_path: Path) -> None:
    assert drawn(Report(log=small.log), tmp_path) == ["training"]
    weights = {name: one for name, one in small.series.items() if one.dims}
    assert drawn(Report(series=weights), tmp_path) == ["overview", *weights]
    assert drawn(Report(), tmp_path) == []


def test_a_log_full_of_nan_and_of_single_points(small: Report, tmp_path: Path) -> None:
    assert small.log is not None
    broken = {
        name: replace(curve, values=np.full_like(curve.values, np.nan))
        for name, curve in small.log.curves.items()
    }
    assert drawn(Report(log=replace(small.log, curves=broken)), tmp_path) == []
    single = {name: curve.head(1) for name, curve in small.log.curves.items()}
    assert drawn(Report(log=replace(small.log, curves=single)), tmp_path) == ["training"]


def test_a_step_without_any_entry(build: Callable[..., Series], tmp_path: Path) -> None:
    status = [[Status.absent] * 2, [Status.ok] * 2, [Status.ok] * 2]
    values = [[np.nan] * 2, [1.0, 2.0], [2.0, 1.0]]
    series = build("m", [0, 1, 2], values, status=status, coords={"layer": ("a", "b")})
    assert drawn(Report({}, {"m": series}), tmp_path) == ["m"]


def test_one_metric_only(small: Report, tmp_path: Path) -> None:
    assert drawn(small, tmp_path, "layer_rotation") == ["layer_rotation"]
    with pytest.raises(ReportError):
        drawn(small, tmp_path, "nope")


def test_the_settings_of_matplotlib_are_left_as_they_were(small: Report, tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    drawn(small, tmp_path)
    assert dict(mpl.rcParams) == before


def test_a_title_and_a_subtitle_of_two_lines_stay_above_the_panel() -> None:
    """The probe made a second line of the subtitle, which touched the panel below long titles."""
    with styled():
        figure = Figure(figsize=(6.0, 2.0 + HEAD))
        axes = panel(figure, 1.0, 0.5, 4.0, 1.5)
        heading(figure, "a long title " * 8, "a paper\na probe", left=0.45, top=0.15)
        figure.canvas.draw()
    edge = axes.get_window_extent().y1 + 0.1 * figure.dpi
    assert all(text.get_window_extent().y0 > edge for text in figure.texts)
    assert axes.get_window_extent().height == pytest.approx(1.5 * figure.dpi)
