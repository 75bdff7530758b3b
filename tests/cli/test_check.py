"""Verdicts, exit codes, sides and configuration of `dyntools check`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dyntools.cli.check import with_every_baseline
from dyntools.errors import UsageError
from dyntools.journal import Journal, Row
from dyntools.measurement import per_layer
from tests.conftest import Outcome
from tests.gates import LAYERS, LIMITS, RANK, TOP, TRACE, last, write_report
from tests.journals import begin
from tests.processes import ROOT

Command = Callable[..., Outcome]


@pytest.mark.parametrize(
    ("scale", "limits", "code", "verdict"),
    [
        (1.02, LIMITS, 0, "PASS: 4 checks passed."),
        (1.3, LIMITS, 1, "FAIL: 4 checks failed."),
        (0.7, ("--limit", "effective_rank[0.weight]@last not above by 10%"), 0, "PASS: 1 check"),
        (1.3, ("--limit", "effective_rank[0.weight]@last not below by 10%"), 0, "PASS: 1 check"),
        (1.0, ("--limit", TRACE), 3, "INCONCLUSIVE: 1 check inconclusive."),
        (1.0, ("--limit", TRACE, *LIMITS), 3, "INCONCLUSIVE: 1 of 5 checks inconclusive"),
        (1.3, ("--limit", TRACE, *LIMITS), 1, "FAIL: "),
    ],
)
def test_verdicts(
    scale: float,
    limits: tuple[str, ...],
    code: int,
    verdict: str,
    baseline: Path,
    tmp_path: Path,
    dyntools: Command,
) -> None:
    write_report(tmp_path / "now.h5", scale, seed=1)
    outcome = dyntools("check", "now.h5", "--baseline", baseline, *limits)
    assert outcome.code == code, outcome.err
    assert last(outcome).startswith(verdict)


def test_inconclusive_ok_and_exit_zero(baseline: Path, tmp_path: Path, dyntools: Command) -> None:
    write_report(tmp_path / "now.h5", seed=1)
    write_report(tmp_path / "bad.h5", 1.3, seed=1)
    write_report(tmp_path / "other.h5", seed=1, probe="another")
    trace = ("--baseline", baseline, "--limit", TRACE)
    assert dyntools("check", "now.h5", *trace, "--inconclusive-ok").code == 0
    assert "exit code is 0 as asked" in dyntools("check", "now.h5", *trace, "--exit-zero").out
    bad = ("check", "bad.h5", "--baseline", baseline, *LIMITS)
    assert dyntools(*bad, "--inconclusive-ok").code == 1
    assert dyntools(*bad, "--exit-zero").code == 0
    other = ("check", "other.h5", "--baseline", baseline, "--limit", TOP)
    assert dyntools(*other, "--inconclusive-ok").code == 3  # nothing was checked
    assert dyntools(*other, "--exit-zero").code == 0
    assert dyntools("check", "missing.h5", *trace, "--exit-zero").code == 2


def test_not_comparable_says_why(baseline: Path, tmp_path: Path, dyntools: Command) -> None:
    write_report(tmp_path / "other.h5", seed=1, probe="another")
    outcome = dyntools("check", "other.h5", "--baseline", baseline, *LIMITS)
    assert outcome.code == 3
    assert last(outcome).startswith("NOT COMPARABLE: 1 of 4 checks not comparable, 3 passed.")
    assert "961e3967027e8aa2" in outcome.out
    assert "another" in outcome.out


def test_the_last_line_accepts_the_change(
    baseline: Path, tmp_path: Path, dyntools: Command
) -> None:
    """The command that is printed, typed, makes the same check pass."""
    write_report(tmp_path / "now.h5", 1.3, seed=1)
    check = ("check", "now.h5", "--baseline", "baseline.json", *LIMITS)
    line = last(dyntools(*check))
    _, _, command = line.partition("To accept what is there now: ")
    ran = subprocess.run(
        ["bash", "-c", command.replace("dyntools", f"{sys.executable} -m dyntools", 1)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "as before" in ran.stdout
    assert dyntools(*check).code == 0


def test_against_reports_it_says_which_baseline_to_use_then(
    tmp_path: Path, dyntools: Command
) -> None:
    write_report(tmp_path / "before.h5")
    write_report(tmp_path / "now.h5", 1.3, seed=1)
    line = last(dyntools("check", "now.h5", "--baseline", "before.h5", *LIMITS))
    assert line.endswith(" (and --baseline baseline.json from then on)")


def test_no_baseline_is_offered_that_would_drop_a_check(
    baseline: Path, tmp_path: Path, dyntools: Command
) -> None:
    write_report(tmp_path / "now.h5", 1.3, only=("effective_rank", "hessian_trace"))
    outcome = dyntools("check", "now.h5", "--baseline", "baseline.json", *LIMITS)
    assert outcome.code == 1
    assert "To accept" not in outcome.out


def test_bounds_need_no_baseline(tmp_path: Path, dyntools: Command) -> None:
    write_report(tmp_path / "now.h5")
    below = dyntools("check", "now.h5", "--limit", "hessian_top[0]@max below 50")
    assert below.code == 0
    above = dyntools("check", "now.h5", "--limit", "effective_rank@min above 12")
    assert above.code == 1
    assert last(above).endswith("To accept what is there now: change the limit.")
    nothing = dyntools("check", "now.h5", *LIMITS)
    assert nothing.code == 2
    assert "--baseline" in nothing.err


def test_several_seeds_a_side_and_globs(tmp_path: Path, dyntools: Command) -> None:
    for seed in range(12):
        folder = tmp_path / ("before" if seed < 6 else "now")
        folder.mkdir(exist_ok=True)
        write_report(folder / f"{seed}.h5", seed=seed, scatter=0.01)
    limit = ("--limit", "hessian_top[0]@last within 10%")
    quoted = dyntools("check", "now/*.h5", "--baseline", "before/*.h5", *limit)
    now, before = (sorted(map(str, tmp_path.glob(f"{d}/*.h5"))) for d in ("now", "before"))
    by_shell = dyntools("check", *now, "--baseline", *before, *limit)
    behind = dyntools("check", *now, *limit, "--baseline", *before)
    assert quoted.code == by_shell.code == behind.code == 0, quoted.out + quoted.err
    assert "6 reports, before/0.h5 to before/5.h5" in quoted.out
    content = json.loads(
        dyntools(
            "check", *now, "--baseline", *before, *limit, "--format", "json"
        ).out
    )  # fmt: skip
    assert content["checks"][0]["samples"] == {"baseline": 6, "now": 6}


def test_which_files_are_of_the_baseline() -> None:
    valued = {"--limit", "--output", "-o"}

    def sides(*words: str) -> list[str]:
        return with_every_baseline(words, valued)

    one, two = ["--baseline", "a"], ["--baseline", "b"]
    assert sides("x", "--baseline", "a", "b") == ["x", *one, *two]
    assert sides("x", "--baseline", "a", "b", "--limit", "l", "-o", "f") == [
        *("x", *one, *two, "--limit", "l", "-o", "f")
    ]
    assert sides("--limit", "l", "--baseline", "a", "x") == ["--limit", "l", *one, "x"]
    assert sides("--baseline", "a", "x") == [*one, "x"]
    assert sides("--baseline", "a.json", "x", "y") == ["--baseline", "a.json", "x", "y"]
    assert sides("x", *one, *two) == ["x", *one, *two]
    assert sides("x", "--baseline") == ["x", "--baseline"]
    with pytest.raises(UsageError, match="not plain"):
        sides("--baseline", "a", "b", "x")


def test_a_journal_is_read_like_a_report(tmp_path: Path, dyntools: Command) -> None:
    for name in ("before", "now"):
        with Journal(tmp_path / f"{name}.jsonl") as journal:
            begin(journal, identity=name)
            rotation = per_layer(dict.fromkeys(LAYERS, 0.1), error=dict.fromkeys(LAYERS, 1e-9))
            journal.measurement(Row("layer_rotation", 10, 0.5, rotation))
    limit = ("--limit", "layer_rotation@last within 0.01")
    outcome = dyntools("check", "now.jsonl", "--baseline", "before.jsonl", *limit)
    assert outcome.code == 0, outcome.err
    assert last(outcome) == "PASS: 3 checks passed."


# Configuration


def test_a_project_says_limits_level_and_baseline(
    baseline: Path, tmp_path: Path, dyntools: Command
) -> None:
    write_report(tmp_path / "now.h5", 1.3, seed=1)
    (tmp_path / "pyproject.toml").write_text(
        f'[tool.dyntools.check]\nbaseline = "baseline.json"\nlevel = 0.01\nlimits = ["{RANK}"]\n'
    )
    outcome = dyntools("check", "now.h5")
    assert outcome.code == 1
    assert "limits: pyproject.toml" in outcome.out
    assert "baseline.json" in outcome.out
    content = json.loads(dyntools("check", "now.h5", "--format", "json").out)
    assert content["level"] == 0.01
    assert content["accept"] == "dyntools baseline now.h5 -o baseline.json"
    given = json.loads(
        dyntools("check", "now.h5", "--level", "0.2", "--limit", TOP, "--format", "json").out
    )
    assert given["level"] == 0.2
    assert {one["metric"] for one in given["checks"]} == {"hessian_top"}


def test_without_a_configuration_the_defaults_are_printed(
    tmp_path: Path, dyntools: Command
) -> None:
    write_report(tmp_path / "before.h5")
    write_report(tmp_path / "now.h5", 1.01, seed=1)
    outcome = dyntools("check", "now.h5", "--baseline", "before.h5")
    said = " ".join(outcome.out.split())
    assert "limits: defaults: hessian_top[0]@last within" in said
    assert "effective_rank@last within" in said
