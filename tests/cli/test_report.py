"""dyntools report through the real command line: files, formats, refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dyntools import hdf5
from tests.conftest import Outcome
from tests.journals import session
from tests.processes import python
from tests.reports import random_report

Command = Callable[..., Outcome]


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "r.h5"
    hdf5.write(random_report(), path)
    return path


def test_a_page_is_written_where_it_is_asked_for(
    report: Path, tmp_path: Path, dyntools: Command
) -> None:
    outcome = dyntools("report", report, "-o", "pages/run.html")
    assert outcome.code == 0
    assert outcome.out.startswith("wrote pages/run.html: 0.")
    assert (tmp_path / "pages/run.html").read_text().startswith("<!DOCTYPE html>")
    assert [path.name for path in (tmp_path / "pages").iterdir()] == ["run.html"]


def test_names_and_formats_have_defaults(report: Path, tmp_path: Path, dyntools: Command) -> None:
    assert dyntools("report", report).out.startswith("wrote r.html")
    assert dyntools("report", report, "-o", "r.md").code == 0
    assert (tmp_path / "r.md").read_text().startswith("## made by hand")
    printed = dyntools("report", report, "--format", "markdown")
    assert printed.out == (tmp_path / "r.md").read_text()
    assert dyntools("report", report, "-o", "x.md", "--format", "html").code == 0
    assert (tmp_path / "x.md").read_text().startswith("<!DOCTYPE html>")


def test_several_reports_are_one_page(report: Path, tmp_path: Path, dyntools: Command) -> None:
    other = tmp_path / "other.h5"
    hdf5.write(random_report(seed=1), other)
    assert dyntools("report", report, other, "-o", "both.html").code == 0
    text = (tmp_path / "both.html").read_text()
    assert text.count("<article") == 2
    assert "other.h5" in text


def test_a_journal_that_is_being_written_is_a_report(tmp_path: Path, dyntools: Command) -> None:
    session(tmp_path / "live.jsonl")
    assert dyntools("report", "live.jsonl").code == 0
    assert "layer_rotation" in (tmp_path / "live.html").read_text()


def test_an_earlier_page_stays_unless_forced(
    report: Path, tmp_path: Path, dyntools: Command
) -> None:
    page = tmp_path / "r.html"
    page.write_text("mine")
    refused = dyntools("report", report)
    assert refused.code == 2
    assert "--force" in refused.err
    assert page.read_text() == "mine"
    assert dyntools("report", report, "--force").code == 0
    assert page.read_text() != "mine"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["missing.h5"], "missing.h5"),
        (["r.h5", "-o", "r.h5", "--force"], "try: another name: -o report.html"),
        (["r.h5", "-o", "."], "folder"),
        (["r.h5", "-o", "r.h5/x.html"], "try: -o FILE.html, in a folder"),
        (["r.h5", "--format", "pdf"], "pdf"),
        ([], "REPORT"),
    ],
)
def test_refusals_are_sentences(
    arguments: list[str], sentence: str, report: Path, dyntools: Command
) -> None:
    outcome = dyntools("report", *arguments)
    assert outcome.code == 2
    assert sentence in outcome.err
    assert "Traceback" not in outcome.err
    assert report.is_file()


def test_neither_torch_nor_matplotlib_is_imported(report: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from dyntools.cli import run; code = run(sys.argv[1:]);"
        "assert not {'torch', 'matplotlib'} & set(sys.modules); sys.exit(code)"
    )
    result = python(code, "report", str(report), "-o", str(tmp_path / "x.html"))
    assert result.returncode == 0, result.stderr
