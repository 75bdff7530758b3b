"""Testing: a check of reports inside a test suite.

    from dyntools.testing import assert_no_regression

    def test_training_is_as_before():
        assert_no_regression("probe.h5", "baseline.json", ["hessian_top[0]@last within 10%"])

It judges as `dyntools check` does, and needs neither pytest nor torch.
"""

from __future__ import annotations

import unittest
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from dyntools import gate
from dyntools.checks.baseline import Baseline
from dyntools.checks.limit import Limit
from dyntools.checks.verdict import Outcome, Verdict
from dyntools.errors import UsageError
from dyntools.gate import Side
from dyntools.report import Report
from dyntools.views import check_table
from dyntools.views.check_words import Judged
from dyntools.views.fitted import PLAIN_WIDTH

Source = str | Path | Report
Inconclusive = Literal["fail", "skip", "pass"]


def assert_no_regression(
    report: Source | Sequence[Source],
    baseline: Source | Baseline | Sequence[Source] | None = None,
    limits: str | Limit | Sequence[str | Limit] | None = None,
    *,
    level: float | None = None,
    inconclusive: Inconclusive = "fail",
    allow_missing: bool = False,
    config: str | Path | None = None,
) -> Outcome:
    """Raise AssertionError, with the table, unless the limits hold.

    report: a path, a glob, a `Report` in memory, or several (seeds of one recipe). baseline: the
    same, or a baseline file, or a `Baseline`; None for that of the configuration, or where all
    limits are bounds. limits: as of `--limit`; None for those of the configuration, else the
    defaults. level: share of unchanged runs that may fail, over all checks together; default 0.05.
    inconclusive: what error bars wider than the tolerance do: "fail", "skip" the test, or "pass".
    allow_missing: leave out what only one side has. config: a file, instead of the nearest.

    Not comparable always fails: nothing was checked. Returns the outcome. Raises UsageError and
    ReportError like the command.
    """
    __tracebackhide__ = True
    if inconclusive not in ("fail", "skip", "pass"):
        raise UsageError(
            "inconclusive is 'fail', 'skip' or 'pass'.",
            found=repr(inconclusive),
            remedy="inconclusive='fail'",
        )
    project = gate.project_of(None if config is None else Path(config))
    now = _side(report)
    if now.baseline is not None:
        raise UsageError("A baseline holds too little to be checked.", remedy="a report")
    if baseline is None and project is not None and project.baseline:
        baseline = [gate.near(path) for path in project.baseline]
    before = None if baseline is None else _side(baseline)
    given = [limits] if isinstance(limits, str | Limit) else limits
    terms = gate.terms_of(now, before, given, project, level=level, allow_missing=allow_missing)
    outcome = gate.judged(now, before, terms)
    code = gate.exit_code(outcome, inconclusive_ok=inconclusive == "pass")
    if code == 0:
        return outcome
    table = check_table.plain(Judged(outcome, code), PLAIN_WIDTH)
    if inconclusive == "skip" and outcome.verdict is Verdict.inconclusive and outcome.checks:
        raise unittest.SkipTest(table)  # pytest takes it for a skip as well
    raise AssertionError(f"\n{table}")


def _side(source: Source | Baseline | Sequence[Source]) -> Side:
    if isinstance(source, Baseline):
        return Side(baseline=source)
    if isinstance(source, str | Path):
        return gate.read_side([source])
    parts = [source] if isinstance(source, Report) else list(source)
    reports = tuple(part for part in parts if isinstance(part, Report))
    paths = [part for part in parts if not isinstance(part, Report)]
    if not parts:
        raise UsageError(
            "There is no report among what was given.", remedy="a path, a quoted glob, or a Report"
        )
    if not reports:
        return gate.read_side(paths)
    return Side((), (*reports, *(gate.read_reports(paths).reports if paths else ())))
