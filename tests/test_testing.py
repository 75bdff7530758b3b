"""The helper for test suites: it judges as the command does, and says so in an AssertionError."""

from __future__ import annotations

import unittest
from pathlib import Path
from typing import Any

import pytest

from dyntools.checks.baseline import baseline_of, write
from dyntools.checks.limit import parse
from dyntools.checks.verdict import Verdict
from dyntools.errors import ReportError, UsageError
from dyntools.testing import assert_no_regression
from tests.gates import RANK, TOP, TRACE, gate_report, write_report
from tests.processes import python


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_paths_reports_and_baselines_say_the_same(tmp_path: Path) -> None:
    before, now = gate_report(), gate_report(1.02, seed=1)
    paths = [write_report(tmp_path / "before.h5"), write_report(tmp_path / "now.h5", 1.02, seed=1)]
    made = baseline_of([before], [parse(RANK)])
    write(made, tmp_path / "baseline.json")
    for report in (now, [now], paths[1], str(paths[1]), "no*.h5", [paths[1]]):
        for baseline in (before, made, paths[0], "baseline.json", ["befo*.h5"], [before]):
            outcome = assert_no_regression(report, baseline, RANK)  # type: ignore[arg-type]
            assert outcome.verdict is Verdict.passed
            found = sorted(check.now or 0 for check in outcome.checks)
            assert found == pytest.approx([10.2, 15.3, 20.4])


def test_a_regression_raises_with_the_table() -> None:
    with pytest.raises(AssertionError) as raised:
        assert_no_regression(gate_report(1.3, seed=1), gate_report(), [RANK, parse(TOP)])
    text = str(raised.value)
    assert "effective_rank@last" in text
    assert text.rstrip().splitlines()[-1].startswith("FAIL: 4 checks failed.")
    assert "\x1b" not in text


def test_what_is_inconclusive_is_for_the_caller_to_say() -> None:
    sides = (gate_report(seed=1), gate_report(), TRACE)
    with pytest.raises(AssertionError, match="INCONCLUSIVE"):
        assert_no_regression(*sides)
    with pytest.raises(unittest.SkipTest, match="INCONCLUSIVE"):
        assert_no_regression(*sides, inconclusive="skip")
    assert assert_no_regression(*sides, inconclusive="pass").verdict is Verdict.inconclusive
    with pytest.raises(UsageError):
        assert_no_regression(*sides, inconclusive="maybe")  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", ["pass", "skip", "fail"])
def test_not_comparable_and_nothing_checked_never_pass(policy: Any) -> None:
    other = gate_report(seed=1, probe="another")
    with pytest.raises(AssertionError, match="NOT COMPARABLE"):
        assert_no_regression(other, gate_report(), TOP, inconclusive=policy)
    bare = gate_report(seed=1, only=[])
    with pytest.raises(AssertionError, match="nothing was checked"):
        assert_no_regression(bare, bare, inconclusive=policy)


def test_bounds_and_missing_metrics() -> None:
    assert_no_regression(gate_report(), limits="hessian_top[0]@max below 50")
    bare = gate_report(seed=1, only=["effective_rank"])
    with pytest.raises(AssertionError, match="does not hold hessian_top"):
        assert_no_regression(bare, gate_report(), [RANK, TOP])
    assert_no_regression(bare, gate_report(), [RANK, TOP], allow_missing=True)


def test_the_configuration_of_the_project_holds(tmp_path: Path) -> None:
    write(baseline_of([gate_report()], [parse(RANK)]), tmp_path / "baseline.json")
    (tmp_path / "dyntools.toml").write_text(
        f'[check]\nbaseline = "baseline.json"\nlimits = ["{RANK}"]\n'
    )
    assert assert_no_regression(gate_report(1.05, seed=1)).source == "dyntools.toml"
    with pytest.raises(AssertionError):
        assert_no_regression(gate_report(1.3, seed=1))
    (tmp_path / "other.toml").write_text(f'[tool.dyntools.check]\nlimits = ["{TOP}"]\n')
    outcome = assert_no_regression(gate_report(), gate_report(seed=2), config="other.toml")
    assert {check.metric for check in outcome.checks} == {"hessian_top"}


def test_errors_are_those_of_the_command(tmp_path: Path) -> None:
    with pytest.raises(ReportError):
        assert_no_regression("missing.h5", limits="hessian_top[0]@max below 50")
    with pytest.raises(UsageError):
        assert_no_regression(gate_report(), None, RANK)
    with pytest.raises(UsageError):
        assert_no_regression([], gate_report(), RANK)
    write(baseline_of([gate_report()], [parse(RANK)]), tmp_path / "baseline.json")
    with pytest.raises(UsageError, match="too little"):
        assert_no_regression("baseline.json", gate_report(), RANK)


def test_it_imports_neither_torch_nor_pytest() -> None:
    result = python(
        "import sys, dyntools.testing;"
        "found = {'torch', 'pytest', 'matplotlib', 'typer'} & set(sys.modules);"
        "assert not found, found"
    )
    assert result.returncode == 0, result.stderr
