"""dyntools show REPORT: its numbers as tables, JSON or CSV."""

from __future__ import annotations

import io
import json
import sys
from typing import Annotated

import typer

from dyntools.cli import options, terminal
from dyntools.errors import UsageError


def command(
    report_path: options.ReportPath,
    metric: options.MetricName = None,
    step: Annotated[int | None, typer.Option("--step", metavar="S", help="Only this step.")] = None,
    layer: Annotated[
        str | None, typer.Option("--layer", metavar="GLOB", help="Only layers like this.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The stable interface.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="One number a line.")] = False,
) -> None:
    """Print a report: the summary, or one metric in full.

    Example: dyntools show run.h5 --metric effective_rank --layer '*.mlp.*'
    """
    from dyntools import findings, gathering
    from dyntools.views import listings, tables, tabular

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude one another.")
    report = gathering.read(report_path)
    if metric is not None:
        report[metric]  # raises with the nearest names
    if as_json:
        content = tabular.to_json(report, metric=metric, step=step, layer=layer)
        print(json.dumps(content, allow_nan=False))
    elif as_csv:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # data, whatever the terminal knows
        for line in tabular.to_csv(report, metric=metric, step=step, layer=layer):
            print(line)
    elif metric is None and step is None and layer is None:
        console = terminal.stdout()
        console.print(tables.overview(report))
        console.print(tables.summary(report))
        console.print(tables.omissions(report))
        console.print(tables.findings(findings.find(report)))
        console.print(listings.next_commands(report_path, report))
    else:
        names = [metric] if metric else list(report.series)
        for name in names:
            table = tables.metric_table(report[name], step=step, layers=layer, most=None)
            terminal.stdout().print(table)
