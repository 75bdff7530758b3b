"""dyntools compare A B [C…]: reports, or groups of seeds, side by side."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dyntools.cli import compare_inputs, terminal
from dyntools.errors import USE_OR_DATA_ERROR, DyntoolsError, ReportError, UsageError

if TYPE_CHECKING:
    from dyntools.comparison.alignment import By
    from dyntools.comparison.side import Side
    from dyntools.views.compare_sheet import Sheet


class Align(StrEnum):
    """The values of `comparison.alignment.By`, which would load numpy."""

    step = "step"
    fraction = "fraction"
    last = "last"


class View(StrEnum):
    """Views over several runs of the catalogue."""

    width_transfer = "width-transfer"
    coordinate_check = "coordinate-check"
    lr_sensitivity = "lr-sensitivity"


class Format(StrEnum):
    """How a comparison is printed."""

    rich = "rich"
    plain = "plain"
    json = "json"
    csv = "csv"
    markdown = "markdown"


@dataclass(frozen=True)
class Shown:
    """What can be printed, each made when it is asked for; None where there is no such thing."""

    sheets: Callable[[], list[Sheet]]
    data: Callable[[], dict[str, Any]]
    csv: Callable[[], Iterable[str]] | None = None
    draw: Callable[[Path], None] | None = None


def command(
    reports: Annotated[
        list[str] | None, typer.Argument(metavar="REPORT…", help="Reports, or quoted globs.")
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option("--group", metavar="NAME=GLOB", help="Seeds of one recipe as one side."),
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", metavar="NAME[.COMPANION]", help="Only this metric.")
    ] = None,
    layer: Annotated[
        str | None, typer.Option("--layer", metavar="GLOB", help="Only layers like this.")
    ] = None,
    step: Annotated[
        int | None, typer.Option("--step", metavar="S", help="At this step; default: the last.")
    ] = None,
    align: Annotated[
        Align | None,
        typer.Option(
            "--align", help="Default: step where they share one behind the start, else fraction."
        ),
    ] = None,
    view: Annotated[View | None, typer.Option("--view", help="A view over several runs.")] = None,
    x: Annotated[
        list[str] | None,
        typer.Option("--x", metavar="NAME=VALUE", help="The width or learning rate of a run."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every entry of the metric.")] = False,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.rich,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE.png", help="Also draw it, one picture.")
    ] = None,
) -> None:
    """Set two or more reports side by side, with what their differences are worth.

    Example: dyntools compare a.h5 b.h5 --metric effective_rank
    """
    from dyntools.comparison import side as sides_

    _check_request(metric, step, view, plot, form)
    given = compare_inputs.values(x)
    errors: list[DyntoolsError] = []
    alone = compare_inputs.read(compare_inputs.paths(reports), errors)
    asked = compare_inputs.groups(group)
    groups = {name: compare_inputs.read(paths, errors) for name, paths in asked.items()}
    for error in errors:
        terminal.say(f"dyntools: {error}")
    kept = {name: members for name, members in groups.items() if members}
    if errors and len(alone) + len(kept) < 2:
        raise typer.Exit(USE_OR_DATA_ERROR)
    sides = compare_inputs.of_layers(sides_.sides_of(alone, kept), layer)
    for sentence in sides_.repeated(sides):
        terminal.say(f"note: {sentence}")
    shown = _shown(sides, metric, view, align, step, given, every)
    _print(shown, form)
    if plot is not None and shown.draw is not None:
        _draw(shown.draw, plot)
    if errors:
        raise typer.Exit(USE_OR_DATA_ERROR)


def _check_request(
    metric: str | None, step: int | None, view: View | None, plot: Path | None, form: Format
) -> None:
    """What excludes what. Raises UsageError."""
    if view in (View.width_transfer, View.lr_sensitivity) and metric is not None:
        raise UsageError(f"--view {view} chooses its own metrics.", remedy="leave out --metric")
    if view is not None and form is Format.csv:
        raise UsageError("A view over several runs is no CSV.", remedy="--format json")
    if step is not None and metric is None:
        raise UsageError("--step goes with --metric.", remedy="--metric NAME")
    if plot is not None and metric is None and view is None:
        raise UsageError("--plot draws one metric, or a view.", remedy="--metric NAME")
    endings = (".png", ".svg", ".pdf")
    if plot is not None and plot.suffix.lower() not in endings:
        raise UsageError("--plot writes one picture.", found=str(plot), remedy="--plot FILE.png")


def _shown(
    sides: Sequence[Side],
    metric: str | None,
    view: View | None,
    align: Align | None,
    step: int | None,
    given: dict[str, float],
    every: bool,
) -> Shown:
    """The comparison that was asked for."""
    from dyntools.comparison.alignment import By
    from dyntools.comparison.compared import compare
    from dyntools.comparison.overview import overview
    from dyntools.views import compare_data, compare_tables

    by = None if align is None else By(align.value)
    if view is not None:
        return _of_view(sides, view, given, metric, by)
    if metric is None:
        found = overview(sides, by)
        return Shown(
            lambda: compare_tables.overview_sheets(found),
            lambda: compare_data.overview_json(found),
            lambda: compare_data.overview_csv(found),
        )
    compared = compare(sides, metric, by)
    place, most = compared.place(step), None if every else compare_tables.MOST

    def draw(path: Path) -> None:
        from dyntools.views import compare_plot

        compare_plot.save(compare_plot.metric_figure(compared), path)

    return Shown(
        lambda: [compare_tables.metric_sheet(compared, place, most)],
        lambda: compare_data.metric_json(sides, compared),
        lambda: compare_data.metric_csv(compared),
        draw,
    )


def _of_view(
    sides: Sequence[Side], view: View, given: dict[str, float], metric: str | None, by: By | None
) -> Shown:
    from dyntools.comparison.coordinate_check import coordinate_check
    from dyntools.comparison.lr_sensitivity import lr_sensitivity
    from dyntools.comparison.width_transfer import width_transfer
    from dyntools.views import compare_data, compare_series

    def draw(path: Path) -> None:
        from dyntools.views import compare_plot

        compare_plot.save(getattr(compare_plot, figure)(found), path)

    found: Any
    sheets: Callable[[Any], list[Sheet]]
    if view is View.width_transfer:
        found = width_transfer(sides, given)
        sheets, figure = compare_series.width_sheets, "width_figure"
    elif view is View.coordinate_check:
        found = coordinate_check(sides, given, metric, by)
        sheets, figure = compare_series.coordinate_sheets, "coordinate_figure"
    else:
        found = lr_sensitivity(sides, given)
        sheets, figure = compare_series.sensitivity_sheets, "sensitivity_figure"
    data = compare_data.view_json
    return Shown(lambda: sheets(found), lambda: data(view.value, found), draw=draw)


def _print(shown: Shown, form: Format) -> None:
    from dyntools.views import compare_sheet

    if form in (Format.csv, Format.markdown) and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # data, whatever the terminal knows
    if form is Format.json:
        print(json.dumps(shown.data(), allow_nan=False))
    elif form is Format.csv and shown.csv is not None:
        for line in shown.csv():
            print(line)
    elif form is Format.markdown:
        print("\n".join(compare_sheet.markdown(sheet) for sheet in shown.sheets()))
    else:
        console = terminal.stdout()
        if form is Format.plain:
            console.no_color = True
        for sheet in shown.sheets():
            console.print(compare_sheet.table(sheet))


def _draw(draw: Callable[[Path], None], path: Path) -> None:
    try:
        draw(path)
    except OSError as error:
        raise ReportError(
            "The picture cannot be written there.",
            where=str(path),
            found=str(error),
            remedy="--plot FILE.png, in a folder that exists and may be written",
        ) from error
    terminal.say(f"picture: {path}")
