"""dyntools plot REPORT -o DIR: its pictures, as PNG and SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dyntools.cli import options, terminal
from dyntools.errors import ReportError


def command(
    report_path: options.ReportPath,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR")],
    metric: options.MetricName = None,
) -> None:
    """Draw heat maps of layers against steps, curves, spectra and an overview.

    Example: dyntools plot run.h5 -o plots
    """
    from dyntools import gathering
    from dyntools.views import plots

    report = gathering.read(report_path)
    if metric is not None:
        report[metric]  # raises with the nearest names
    try:
        output.mkdir(parents=True, exist_ok=True)
        written = [
            path
            for stem, figure in plots.plots(report, metric)
            for path in plots.save(figure, output, stem)
        ]
    except OSError as error:
        raise ReportError(
            "The plots cannot be written there.", where=str(output), found=str(error)
        ) from error
    for path in written:
        terminal.stdout().print(str(path), soft_wrap=True)
    if not written:
        terminal.say("There is nothing to draw: the report holds no number.")
