"""dyntools baseline REPORT: what the limits of `dyntools check` need, as a small file for git."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dyntools.cli import options, terminal
from dyntools.errors import ReportError, UsageError

if TYPE_CHECKING:
    from dyntools.checks.baseline import Baseline


def command(
    reports: options.SeedReports,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Replaced if it is a baseline.")
    ],
    limit: options.Limits = None,
    config: options.ChecksConfig = None,
) -> None:
    """Write down the numbers that later reports are checked against.

    Replaces an earlier baseline and prints what changed: commit the file to accept it.

    Example: dyntools baseline 'seeds/*.h5' -o baseline.json
    """
    from dyntools import gate
    from dyntools.checks import baseline, origins
    from dyntools.gate import Side
    from dyntools.views import check_baseline

    side = gate.read_reports(reports)
    terms = gate.terms_of(side, None, limit, gate.project_of(config))
    wanted = tuple(one for one in terms.limits if not one.relation.bounds)
    if not wanted:
        raise UsageError(
            "No limit is on the change against a baseline.",
            found=terms.source,
            remedy="--limit 'weight_norm@last within 10%'",
        )
    made = baseline.baseline_of(side.reports, wanted)
    # Judged by itself first: this refuses what does not exist, and finds what has no number.
    own = gate.judged(replace(side, paths=()), Side(baseline=made), replace(terms, limits=wanted))
    before = _earlier(output)
    if not made.quantities:
        raise ReportError(
            "The reports hold nothing that the limits are on.",
            where=side.name,
            found=terms.source,
            remedy="; ".join(check_baseline.useless(own.checks)),
        )
    baseline.write(made, output)
    terminal.stdout().print(check_baseline.changes(before, made, str(output)), end="")
    for note in origins.notes(origins.distinct(side.reports), len(side.reports), ()):
        terminal.say(f"dyntools: {note}")
    for sentence in check_baseline.useless(own.checks):
        terminal.say(f"dyntools: no baseline for this: {sentence}")


def _earlier(path: Path) -> Baseline | None:
    """The baseline that will be replaced. Raises ReportError where the file is something else."""
    from dyntools.checks import baseline

    if not path.exists():
        return None
    try:
        return baseline.read(path)
    except ReportError as error:
        raise ReportError(
            "The file that is here cannot be read as a baseline, so it is not replaced.",
            where=str(path),
            found=error.what,
            remedy="remove it, or another file with -o",
        ) from error
