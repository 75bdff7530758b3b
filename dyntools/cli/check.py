"""dyntools check REPORT --baseline FILE: did this commit change how the model trains?

Limits on the numbers of a report, judged against a baseline with their uncertainty. Torch is never
imported: the reports hold all that is needed.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from dyntools.cli import check_output, options
from dyntools.cli.check_output import Format
from dyntools.errors import UsageError

if TYPE_CHECKING:
    from dyntools.checks.verdict import Outcome
    from dyntools.gate import Side

BASELINE = "--baseline"
BASELINE_FILE = "baseline.json"  # what the last line proposes where no such file was given


class Parser(TyperCommand):
    """`--baseline` takes all the files that follow it, for a shell puts those of a glob there.

    `check run.h5 --baseline seeds/*.h5` arrives as `check run.h5 --baseline seeds/1.h5 seeds/2.h5`;
    else the second would be taken for a report of the other side, and nobody would notice.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        valued = {o for p in self.params if not getattr(p, "is_flag", False) for o in p.opts}
        return super().parse_args(ctx, with_every_baseline(args, valued - {BASELINE}))


def with_every_baseline(words: Sequence[str], valued: set[str]) -> list[str]:
    """Every file behind `--baseline` with that option before it. Raises UsageError in doubt.

    valued: other options that a value follows. Behind a report all files up to the next option are
    of the baseline. Where none stands before, only one may be.
    """
    found: list[str] = []
    reports, rest = 0, list(words)
    while rest:
        word = rest.pop(0)
        found.append(word)
        if word in valued and rest:
            found.append(rest.pop(0))
        elif word == BASELINE and rest:
            files = [rest.pop(0)]
            while rest and not rest[0].startswith("-"):
                files.append(rest.pop(0))
            if reports == 0 and len(files) > 2 and not files[0].endswith(".json"):
                raise UsageError(
                    "It is not plain which of these files are the baseline.",
                    found=" ".join(files),
                    remedy="the reports first: dyntools check REPORT… --baseline FILE…",
                )
            mine, others = (files, []) if reports else (files[:1], files[1:])
            found += [part for file in mine for part in (BASELINE, file)][1:] + others
            reports += len(others)
        elif not word.startswith("-"):
            reports += 1
    return found


def command(
    reports: options.SeedReports,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            BASELINE,
            metavar="FILE…",
            help="A baseline.json, or reports: paths and quoted globs.",
        ),
    ] = None,
    limit: options.Limits = None,
    config: options.ChecksConfig = None,
    level: Annotated[
        float | None,
        typer.Option(
            "--level", metavar="X", help="Share of unchanged runs that may fail; default 0.05."
        ),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Leave out what only one side has.")
    ] = False,
    inconclusive_ok: Annotated[
        bool, typer.Option("--inconclusive-ok", help="Inconclusive ends with 0, not with 3.")
    ] = False,
    exit_zero: Annotated[
        bool, typer.Option("--exit-zero", help="Any verdict ends with 0; errors still with 2.")
    ] = False,
    chosen: Annotated[
        Format | None, typer.Option("--format", help="Default: rich; on GitHub also annotations.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="The chosen format goes here."),
    ] = None,
) -> None:
    """Judge a report by limits, against a baseline: 0 pass, 1 fail, 3 inconclusive.

    Ends with 3 also where the two must not be compared, and with 2 for an error.

    Example: dyntools check run.h5 --baseline baseline.json --limit 'hessian_top[0]@last within 10%'
    """
    from dyntools import gate
    from dyntools.views.check_words import Judged

    project = gate.project_of(config)
    now = gate.read_reports(reports)
    of_project = [gate.near(path) for path in project.baseline] if project else []
    before = gate.read_side(baseline or of_project) if baseline or of_project else None
    terms = gate.terms_of(now, before, limit, project, level=level, allow_missing=allow_missing)
    outcome = gate.judged(now, before, terms)
    code = gate.exit_code(outcome, inconclusive_ok=inconclusive_ok, exit_zero=exit_zero)
    accept = _accept(outcome, reports, before, limit or (), config)
    then = f"{BASELINE} {BASELINE_FILE}" if accept and before and before.baseline is None else ""
    check_output.deliver(Judged(outcome, code, accept, then), chosen, output)
    raise typer.Exit(code)


def _accept(
    outcome: Outcome,
    reports: Sequence[str],
    before: Side | None,
    limits: Sequence[str],
    config: Path | None,
) -> str:
    """The command that makes these reports the baseline.

    "" where that would change nothing, and where the new file would lack what is not there now.
    """
    from dyntools.checks.verdict import Verdict
    from dyntools.views.check_words import is_bound, known

    against = [c for c in outcome.checks if c.verdict is not Verdict.passed and not is_bound(c)]
    if not against or not all(known(check.now) for check in against):
        return ""
    place = str(before.paths[0]) if before and before.baseline is not None else BASELINE_FILE
    words = ["dyntools", "baseline", *reports, "-o", place]
    words += [word for line in limits for word in ("--limit", line)]
    words += ["--config", str(config)] if config else []
    return shlex.join(words)
