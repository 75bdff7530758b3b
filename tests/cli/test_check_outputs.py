"""Where `dyntools check` puts what it found: files, GitHub, the exit code of the process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conftest import Outcome
from tests.gates import LIMITS, RANK, last, write_report
from tests.processes import ROOT, python
from tests.views.test_check_junit import validate

Command = Callable[..., Outcome]


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
