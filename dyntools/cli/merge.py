"""dyntools merge PART… -o REPORT: the parts of a sharded analysis as one report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dyntools.cli import terminal
from dyntools.errors import ReportError


def command(
    parts: Annotated[list[Path], typer.Argument(metavar="PART…", help="Reports of the shards.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="REPORT")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite an earlier report.")] = False,
) -> None:
    """Join the parts that `dyntools analyze --shard i/n` wrote.

    Example: dyntools merge run.part-*.h5 -o run.h5
    """
    from dyntools import assembly, hdf5

    if output.exists() and not force:
        raise ReportError(
            "There is a report here already; it will not be overwritten.",
            where=str(output),
            remedy="another path with -o, or --force",
        )
    report = assembly.merge([hdf5.read(part) for part in parts])
    hdf5.write(report, output)
    terminal.stdout().print(f"wrote {output}: {len(report.series)} metrics of {len(parts)} parts")
