"""dyntools seal JOURNAL: the HDF5 report of a journal, also of one that is still being written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dyntools.cli import terminal


def command(
    journal: Annotated[Path, typer.Argument(metavar="JOURNAL", help="Of a recorder or analyze.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="REPORT", help="Default: the journal's, with .h5."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an earlier report.")] = False,
) -> None:
    """Seal what a journal holds by now into a report; the journal stays as it is.

    A recording that goes on is not disturbed: nothing is locked, and a line that is being written
    is left for the next time.

    Example: dyntools seal live.jsonl -o so-far.h5
    """
    from dyntools import gathering, hdf5
    from dyntools.errors import ReportError

    if not journal.is_file():
        raise ReportError("There is no journal here.", where=str(journal))
    target = output or sealed_beside(journal)
    hdf5.check_replaceable(target, force=force)
    report = gathering.report_of_journal(journal)
    hdf5.write(report, target)
    steps = {int(step) for series in report.series.values() for step in series.steps}
    terminal.stdout().print(
        f"wrote {target}: {len(report.series)} metrics at {len(steps)} steps", soft_wrap=True
    )


def sealed_beside(journal: Path) -> Path:
    """`live.jsonl` → `live.h5`, and `run.h5.journal` of an analysis → `run.h5`."""
    stem = journal.with_suffix("")
    return stem if stem.suffix == ".h5" else journal.with_suffix(".h5")
