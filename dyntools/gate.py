"""Gate: the files of two sides, read and judged; what `dyntools check` and the pytest helper share.

A side is one report, or several of one recipe with other seeds; a baseline may also be the small
JSON file that `dyntools baseline` wrote. What a file is shows in its first bytes.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dyntools import gathering
from dyntools.checks import configuration, judging
from dyntools.checks.baseline import Baseline
from dyntools.checks.baseline import read as read_baseline
from dyntools.checks.configuration import Configuration
from dyntools.checks.limit import Limit, parse
from dyntools.checks.significance import LEVEL
from dyntools.checks.verdict import Outcome, Verdict
from dyntools.errors import ReportError, UsageError
from dyntools.report import Report

HDF5 = b"\x89HDF\r\n\x1a\n"  # HDF5 file format specification, section II.A
REPORT_SUFFIXES = (".h5", ".hdf5", ".jsonl")
GLOB = "*?["
MOST_NAMES = 3  # files of one side that a title spells out; chosen
GIVEN = "as given"  # where limits come from that were named in the call


@dataclass(frozen=True)
class Side:
    """One side of a check. paths: files it was read from. baseline: of a JSON file, else None."""

    paths: tuple[Path, ...] = ()
    reports: tuple[Report, ...] = ()
    baseline: Baseline | None = None

    @property
    def name(self) -> str:
        """How a table calls it."""
        if len(self.paths) > MOST_NAMES:
            return f"{len(self.paths)} reports, {self.paths[0]} to {self.paths[-1]}"
        return ", ".join(map(str, self.paths))

    @property
    def content(self) -> Baseline | tuple[Report, ...]:
        return self.reports if self.baseline is None else self.baseline


@dataclass(frozen=True)
class Terms:
    """What is judged by. source: where the limits come from, in words."""

    limits: tuple[Limit, ...]
    source: str
    level: float
    allow_missing: bool


def judged(now: Side, before: Side | None, terms: Terms) -> Outcome:
    """All limits on the reports of `now`, the worst first. Raises UsageError like `judge`."""
    from dyntools.metrics import METRICS

    _refuse_both(now, before)
    return judging.judge(
        now.reports,
        before.content if before else None,
        terms.limits,
        level=terms.level,
        report=now.name,
        against=before.name if before else "",
        source=terms.source,
        allow_missing=terms.allow_missing,
        known=[metric.name for metric in METRICS],
    )


def terms_of(
    now: Side,
    before: Side | None,
    given: Sequence[str | Limit] | None,
    project: Configuration | None,
    *,
    level: float | None = None,
    allow_missing: bool = False,
) -> Terms:
    """What is given; else what the project says; else the defaults for what the reports hold."""
    if given:
        limits = tuple(parse(one) if isinstance(one, str) else one for one in given)
        source = GIVEN
    elif project is not None and project.limits is not None:
        limits, source = project.limits, str(near(Path(project.source)))
    else:
        limits = configuration.defaults_for(now.reports, before.content if before else None)
        listed = "; ".join(map(str, limits)) or "none is on a metric that is here; give --limit"
        source = f"{configuration.DEFAULT_SOURCE}: {listed}"
    of_project = project.level if project else None
    return Terms(
        limits,
        source,
        level if level is not None else LEVEL if of_project is None else of_project,
        allow_missing or bool(project and project.allow_missing),
    )


def project_of(path: Path | None) -> Configuration | None:
    """The configuration in a file, or the nearest upward from the working directory, if any."""
    if path is None:
        return configuration.nearest_configuration(Path.cwd())
    found = configuration.read(path)
    if found is None:
        raise UsageError(
            "The configuration says nothing about checks.",
            where=str(path),
            remedy="a table [tool.dyntools.check], or [check] in dyntools.toml",
        )
    return found


def expanded(patterns: Iterable[str | Path]) -> tuple[Path, ...]:
    """The files that paths and globs name, each once. Raises ReportError where one names none."""
    found: dict[Path, None] = {}
    for pattern in map(str, patterns):
        paths = [Path(pattern)]
        if not paths[0].exists() and any(character in pattern for character in GLOB):
            paths = sorted(Path(name) for name in glob.glob(pattern, recursive=True))
            if not paths:
                remedy = "a path, or another pattern in quotes, such as 'seeds/*.h5'"
                raise ReportError("No file has a name like this.", where=pattern, remedy=remedy)
        found |= dict.fromkeys(paths)
    for path in found:
        if path.is_dir():
            remedy = f"its files, '{path}/*.h5'"
            raise ReportError("This is a folder, not a report.", where=str(path), remedy=remedy)
    return tuple(found)


def read_reports(patterns: Iterable[str | Path]) -> Side:
    """Reports and journals. Raises ReportError for what is neither."""
    paths = expanded(patterns)
    return Side(paths, tuple(gathering.read(path) for path in paths))


def read_side(patterns: Iterable[str | Path]) -> Side:
    """Reports, or one baseline file. Raises ReportError, and UsageError for a mixture."""
    paths = expanded(patterns)
    files = [path for path in paths if not is_report(path)]
    for path in files:
        if not path.exists():
            remedy = f"dyntools baseline REPORT -o {path}"
            raise ReportError("There is no baseline here.", where=str(path), remedy=remedy)
    if not files:
        return Side(paths, tuple(gathering.read(path) for path in paths))
    if len(paths) > 1:
        raise UsageError(
            "A baseline is one JSON file, or reports, not a mixture.",
            found=", ".join(map(str, paths)),
            remedy="dyntools baseline 'seeds/*.h5' -o baseline.json makes one file of many",
        )
    return Side(paths, baseline=read_baseline(paths[0]))


def near(path: Path) -> Path:
    """The path from the working directory where it lies below it, else as it is."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def is_report(path: Path) -> bool:
    """Whether a file is, by its first bytes or else its name, a report or a journal."""
    if path.is_file():
        with open(path, "rb") as file:
            if file.read(len(HDF5)) == HDF5:
                return True
        if gathering.is_journal(path):
            return True
    return path.suffix in REPORT_SUFFIXES


def exit_code(outcome: Outcome, *, inconclusive_ok: bool = False, exit_zero: bool = False) -> int:
    """0 pass, 1 fail, 3 inconclusive or not comparable.

    inconclusive_ok: inconclusive is 0; not comparable stays 3, for it means that nothing was
    checked. exit_zero: 0 whatever the verdict.
    """
    lenient = inconclusive_ok and outcome.verdict is Verdict.inconclusive and bool(outcome.checks)
    return 0 if exit_zero or lenient else outcome.exit_code


def _refuse_both(now: Side, before: Side | None) -> None:
    """A file on both sides would thin out any difference, or be compared with itself."""
    both = {path.resolve() for path in now.paths} & {
        path.resolve() for path in (before.paths if before else ())
    }
    if both:
        raise UsageError(
            "A report stands on both sides of the check.",
            found=", ".join(str(path) for path in sorted(both)),
            remedy="dyntools check REPORT… --baseline FILE…, the reports first",
        )
