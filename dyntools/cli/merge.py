"""dyntools merge PART… -o REPORT: the parts of a sharded analysis as one report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dyntools.cli import terminal


def command(
    parts: Annotated[list[Path], typer.Argument(metavar="PART…", help="Reports of the shards.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="REPORT")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite an earlier report.")] = False,
) -> None:
    """Join the parts that `dyntools analyze --shard i/n` wrote.

    Example: dyntools merge run.part-*.h5 -o run.h5
    """
    from dyntools import assembly, hdf5

    hdf5.check_replaceable(output, force=force)
    report = assembly.merge([hdf5.read(part) for part in parts])
    hdf5.write(report, output)
    terminal.stdout().print(f"wrote {output}: {len(report.series)} metrics of {len(parts)} parts")
