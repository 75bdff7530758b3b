"""Every verdict, exit code, format and edge of `dyntools check`, through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from dyntools import hdf5
from dyntools.cli.check import with_every_baseline
from dyntools.errors import UsageError
from dyntools.journal import Journal, Row
from dyntools.measurement import Status, per_layer
from tests.conftest import Outcome
from tests.gates import LAYERS, RANK, TOP, TRACE, gate_report, lost, write_report
from tests.journals import begin
from tests.processes import ROOT, python
from tests.views.test_check_junit import validate

Command = Callable[..., Outcome]
LIMITS = ("--limit", RANK, "--limit", TOP)


@pytest.fixture(autouse=True)
def _no_github(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def baseline(tmp_path: Path, dyntools: Command) -> Path:
    """Of the three metrics of a probe training."""
    write_report(tmp_path / "before.h5")
    made = dyntools("baseline", "before.h5", *LIMITS, "--limit", TRACE, "-o", "baseline.json")
    assert made.code == 0, made.err
    return tmp_path / "baseline.json"


def last(outcome: Outcome) -> str:
    return outcome.out.rstrip().splitlines()[-1]


# Verdicts and exit codes


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


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[tool.other]\n", "says nothing about checks"),
        ("[tool.dyntools.check]\nlimts = []\n", "limits"),
        ("[tool.dyntools.check]\nlimits = ['hessian_top within']\n", "tolerance"),
        ("[tool.dyntools\n", "cannot be read"),
    ],
)
def test_a_wrong_configuration(
    content: str, sentence: str, tmp_path: Path, dyntools: Command
) -> None:
    write_report(tmp_path / "now.h5")
    (tmp_path / "mine.toml").write_text(content)
    outcome = dyntools("check", "now.h5", "--config", "mine.toml")
    assert outcome.code == 2
    assert sentence in outcome.err
    assert "Traceback" not in outcome.err


# Edges of the reports


def test_a_metric_that_is_missing(baseline: Path, tmp_path: Path, dyntools: Command) -> None:
    write_report(tmp_path / "now.h5", seed=1, only=["effective_rank"])
    check = ("check", "now.h5", "--baseline", baseline, *LIMITS)
    outcome = dyntools(*check)
    assert outcome.code == 3
    assert "does not hold hessian_top" in outcome.out
    allowed = dyntools(*check, "--allow-missing")
    assert allowed.code == 0
    assert "left out" in allowed.out


def test_nan_fails_where_the_baseline_has_a_number(
    baseline: Path, tmp_path: Path, dyntools: Command
) -> None:
    fields = lost(gate_report()["effective_rank"])
    write_report(tmp_path / "now.h5", seed=1, **fields)
    check = ("check", "now.h5", "--baseline", baseline, "--limit", RANK)
    outcome = dyntools(*check)
    assert outcome.code == 1
    assert outcome.out.count("\n!") == 3
    content = dyntools(*check, "--format", "json").out
    assert "NaN" not in content.replace("(NaN", "")
    assert json.loads(content)["checks"][0]["now"] is None


def test_unconverged_is_no_pass(baseline: Path, tmp_path: Path, dyntools: Command) -> None:
    status = np.full((3, 3), Status.unconverged, dtype=np.int8)
    write_report(tmp_path / "now.h5", seed=1, status=status)
    outcome = dyntools("check", "now.h5", "--baseline", baseline, "--limit", RANK)
    assert outcome.code == 3
    assert "did not converge" in outcome.out


def test_another_version_of_a_metric(baseline: Path, tmp_path: Path, dyntools: Command) -> None:
    write_report(tmp_path / "now.h5", seed=1, version=2)
    outcome = dyntools("check", "now.h5", "--baseline", baseline, "--limit", RANK)
    assert outcome.code == 3
    assert "version of the metric differs" in outcome.out


def test_an_empty_report(baseline: Path, tmp_path: Path, dyntools: Command) -> None:
    hdf5.write(replace(gate_report(), series={}), tmp_path / "now.h5")
    against = dyntools("check", "now.h5", "--baseline", baseline, "--limit", RANK)
    assert against.code == 3
    hdf5.write(replace(gate_report(), series={}), tmp_path / "before.h5")
    nothing = dyntools("check", "now.h5", "--baseline", "before.h5", "--inconclusive-ok")
    assert nothing.code == 3
    assert last(nothing) == "INCONCLUSIVE: nothing was checked."
    assert "give --limit" in nothing.out


def test_ten_thousand_layers_are_a_page(tmp_path: Path, dyntools: Command) -> None:
    layers = [f"transformer.h.{i}.mlp.c_fc.weight" for i in range(10_000)]
    for name, scale in (("before", 1.0), ("now", 1.0), ("bad", 1.3)):
        only = ["effective_rank"]
        write_report(tmp_path / f"{name}.h5", scale, layers=layers, only=only, steps=(0, 1))
    limits = ("--limit", RANK)
    passed = dyntools("check", "now.h5", "--baseline", "before.h5", *limits)
    assert passed.code == 0
    assert "10000 entries" in passed.out
    assert len(passed.out.splitlines()) < 20
    failed = dyntools("check", "bad.h5", "--baseline", "before.h5", *limits)
    assert failed.code == 1
    assert len(failed.out.splitlines()) < 100


HOSTILE = ("<script>alert(1)</script>", "a\n::error::owned", "50 %, 100 %: x", "层.weight")


@pytest.mark.parametrize("form", ["rich", "plain", "json", "markdown", "github", "junit"])
def test_names_from_hell(form: str, tmp_path: Path, dyntools: Command) -> None:
    write_report(tmp_path / "before.h5", layers=HOSTILE)
    write_report(tmp_path / "now.h5", 1.3, layers=HOSTILE, seed=1)
    outcome = dyntools(
        *("check", "now.h5", "--baseline", "before.h5", "--limit", RANK, "--format", form)
    )
    assert outcome.code == 1, outcome.err
    assert "\n::error::owned" not in outcome.out
    if form == "junit":
        root = ElementTree.fromstring(outcome.out.encode())
        validate(root)
        assert HOSTILE[0] in "".join(case.get("name", "") for case in root.iter("testcase"))
    elif form == "json":
        assert {one["entry"] for one in json.loads(outcome.out)["checks"]} == set(HOSTILE)
    elif form == "github":
        errors = [line for line in outcome.out.splitlines() if line.startswith("::error ")]
        assert len(errors) == 4
    else:
        assert "层" in outcome.out


# Errors


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ("hesian_top@last within 10%", "hessian_top"),
        ("effective_rank@lst within 10%", "last"),
        ("effective_rank@last near 10%", "within"),
        ("effective_rank[layer=9.weight]@last within 10%", "0.weight"),
        ("effective_rank[head=1]@last within 10%", "layer"),
        ("effective_rank.nul@last within 10%", "no companion"),
        ("", "expected the name of a metric"),
    ],
)
def test_a_wrong_limit(
    limit: str, sentence: str, baseline: Path, tmp_path: Path, dyntools: Command
) -> None:
    write_report(tmp_path / "now.h5", seed=1)
    outcome = dyntools("check", "now.h5", "--baseline", baseline, "--limit", limit)
    assert outcome.code == 2
    assert sentence in outcome.err
    assert "Traceback" not in outcome.err
    assert not outcome.out


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"not json", "no JSON"),
        (b"", "no JSON"),
        (b"[1, 2]", "no baseline"),
        (b'{"schema": "other"}', "no baseline"),
        (b'{"schema": "dyntools-baseline", "schema_version": "2.0.0"}', "another major version"),
        (b'{"schema": "dyntools-baseline", "schema_version": "1.0.0"}', "damaged"),
        (b"\x80\x04pickle", "no JSON"),
        (b"\x89HDF\r\n\x1a\n torn", "truncated or damaged"),
    ],
)
def test_a_baseline_that_is_none(
    content: bytes, sentence: str, tmp_path: Path, dyntools: Command
) -> None:
    write_report(tmp_path / "now.h5")
    (tmp_path / "b.json").write_bytes(content)
    outcome = dyntools("check", "now.h5", "--baseline", "b.json", *LIMITS)
    assert outcome.code == 2
    assert sentence in outcome.err, outcome.err
    assert "b.json" in outcome.err


def test_files_that_are_not_what_they_should_be(
    baseline: Path, tmp_path: Path, dyntools: Command
) -> None:
    write_report(tmp_path / "now.h5", seed=1)
    write_report(tmp_path / "other.h5", seed=2)
    (tmp_path / "zeros.h5").write_bytes(bytes(100))
    (tmp_path / "seeds").mkdir()
    for arguments, sentence in (
        (["now.h5", "--baseline", "missing.json"], "There is no baseline here"),
        (["now.h5", "--baseline", "missing.h5"], "no report here"),
        (["now.h5", "--baseline", "seeds/*.h5"], "No file has a name like this"),
        (["seeds", "--baseline", baseline], "folder"),
        (["zeros.h5", "--baseline", baseline], "not HDF5"),
        (["baseline.json", "--baseline", baseline], "not HDF5"),
        (["now.h5", "--baseline", baseline, "other.h5"], "not a mixture"),
        (["now.h5", "other.h5", "--baseline", "now.h5", "before.h5"], "both sides"),
        (["--baseline", "before.h5", "now.h5", "other.h5"], "not plain"),
        (["now.h5", "--baseline", baseline, "--level", "1.5"], "between 0 and 1"),
        (["now.h5", "--baseline", baseline, "--format", "xml"], "xml"),
    ):
        outcome = dyntools("check", *arguments, *LIMITS)
        assert outcome.code == 2, arguments
        assert sentence in outcome.err, outcome.err
        assert not outcome.out


def test_another_schema_of_report(tmp_path: Path, dyntools: Command) -> None:
    import h5py

    write_report(tmp_path / "now.h5")
    with h5py.File(tmp_path / "now.h5", "a") as file:
        file.attrs["schema_version"] = "9.0.0"
    outcome = dyntools("check", "now.h5", "--limit", "hessian_top[0]@max below 50")
    assert outcome.code == 2
    assert "9.0.0" in outcome.err


def test_an_interruption(
    tmp_path: Path, dyntools: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dyntools import gate

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    write_report(tmp_path / "now.h5")
    monkeypatch.setattr(gate, "judged", interrupted)
    outcome = dyntools("check", "now.h5", "--limit", "hessian_top[0]@max below 50")
    assert (outcome.code, outcome.out) == (130, "")
    assert "Traceback" not in outcome.err


# Outputs


def test_output_goes_to_a_file_and_the_table_is_still_printed(
    baseline: Path, tmp_path: Path, dyntools: Command
) -> None:
    write_report(tmp_path / "now.h5", 1.3, seed=1)
    check = ("check", "now.h5", "--baseline", baseline, *LIMITS)
    outcome = dyntools(*check, "--format", "junit", "--output", "out.xml")
    assert outcome.code == 1
    assert last(outcome).startswith("FAIL")
    validate(ElementTree.fromstring((tmp_path / "out.xml").read_bytes()))
    dyntools(*check, "-o", "out.txt")
    assert (tmp_path / "out.txt").read_text() == outcome.out


def test_an_output_that_cannot_be_written(
    baseline: Path, tmp_path: Path, dyntools: Command
) -> None:
    write_report(tmp_path / "now.h5", 1.3, seed=1)
    check = ("check", "now.h5", "--baseline", baseline, *LIMITS, "--format", "json")
    outcome = dyntools(*check, "--output", tmp_path)
    assert outcome.code == 2
    assert "could not be written" in outcome.err
    assert last(outcome).startswith("FAIL")  # the work is not lost


def test_on_github_annotations_table_and_summary(
    baseline: Path, tmp_path: Path, dyntools: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(tmp_path / "now.h5", 1.3, seed=1)
    summary = tmp_path / "summary.md"
    summary.write_text("earlier\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    outcome = dyntools("check", "now.h5", "--baseline", baseline, *LIMITS)
    lines = outcome.out.splitlines()
    assert outcome.code == 1
    assert all(line.startswith("::error title=dyntools%3A ") for line in lines[:4])
    assert lines[4].startswith("::stop-commands::")
    assert lines[-2].startswith("FAIL")
    assert lines[-1] == f"::{lines[4].removeprefix('::stop-commands::')}::"
    written = summary.read_text()
    assert written.startswith("earlier\n### dyntools: FAIL: 4 checks failed.")
    dyntools("check", "now.h5", "--baseline", baseline, *LIMITS, "--format", "json")
    assert summary.read_text().count("### dyntools") == 2


def test_the_summary_stays_within_a_mebibyte(
    baseline: Path, tmp_path: Path, dyntools: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(tmp_path / "now.h5", 1.3, seed=1)
    summary = tmp_path / "summary.md"
    summary.write_bytes(b"x" * (1024 * 1024 - 300) + b"\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    check = ("check", "now.h5", "--baseline", baseline, *LIMITS)
    assert dyntools(*check).code == 1
    assert summary.stat().st_size <= 1024 * 1024
    assert "1 MiB" in summary.read_text()[-100:]
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "no/such/folder"))
    outcome = dyntools(*check)
    assert outcome.code == 1
    assert "could not be written" in outcome.err


def test_neither_torch_nor_matplotlib_is_imported(baseline: Path, tmp_path: Path) -> None:
    write_report(tmp_path / "now.h5", seed=1)
    code = (
        "import sys; from dyntools.cli import run; code = run(sys.argv[1:]);"
        "found = {'torch', 'matplotlib'} & set(sys.modules);"
        "assert not found, found; sys.exit(code)"
    )
    for arguments in (
        ["check", "now.h5", "--baseline", "baseline.json", "--limit", RANK],
        ["baseline", "now.h5", "-o", "new.json", "--limit", RANK],
    ):
        result = python(code, *arguments, cwd=tmp_path)
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(("scale", "code"), [(1.0, 0), (1.3, 1)])
def test_the_exit_code_of_the_process(
    scale: float, code: int, baseline: Path, tmp_path: Path
) -> None:
    write_report(tmp_path / "now.h5", scale, seed=1)
    result = subprocess.run(
        [sys.executable, "-m", "dyntools", "check", "now.h5", "--baseline", str(baseline), *LIMITS],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == code, result.stderr
    assert not result.stderr
