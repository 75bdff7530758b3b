"""A report on the terminal and for programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dyntools import hdf5
from tests.conftest import Outcome
from tests.processes import python
from tests.reports import random_report

Command = Callable[..., Outcome]


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "r.h5"
    hdf5.write(random_report(), path)
    return path


def test_json_is_the_stable_interface(report: Path, dyntools: Command) -> None:
    content = json.loads(dyntools("show", report, "--json").out)
    assert set(content) == {"report", "series"}
    series = content["series"]["effective_rank"]
    promised = {"unit", "paper", "settings", "steps", "dims", "coords", "values", "error", "status"}
    assert promised <= set(series)
    assert series["dims"] == ["step", "layer"]
    assert series["values"][0][0] is None
    assert series["status"][0][0] == "failed"
    assert series["status"][1][1] == "ok"


def test_csv_has_one_number_a_line(report: Path, dyntools: Command) -> None:
    lines = list(csv.DictReader(dyntools("show", report, "--csv").out.splitlines()))
    assert {line["metric"] for line in lines} == set(random_report().series)


def test_selection_by_metric_step_and_layer(report: Path, dyntools: Command) -> None:
    arguments = ["--metric", "effective_rank", "--step", 10, "--layer", "0.*", "--json"]
    content = json.loads(dyntools("show", report, *arguments).out)
    assert list(content["series"]) == ["effective_rank"]
    series = content["series"]["effective_rank"]
    assert series["steps"] == [10]
    assert series["coords"]["layer"] == ["0.weight"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--metric", "effective_rnk"], "effective_rank"),
        (["--metric", "effective_rank", "--step", "7"], "not measured at step 7"),
        (["--metric", "effective_rank", "--layer", "nothing*"], "nothing*"),
        (["--json", "--csv"], "exclude"),
    ],
)
def test_mistakes(arguments: list[str], sentence: str, report: Path, dyntools: Command) -> None:
    outcome = dyntools("show", report, *arguments)
    assert outcome.code == 2
    assert sentence in outcome.err


@pytest.mark.parametrize("arguments", [["show"], ["plot", "-o", "plots"]])
def test_without_torch(arguments: list[str], report: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from dyntools.cli import run; code = run(sys.argv[1:]);"
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    command, *options = arguments
    result = python(code, command, str(report), *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits_the_terminal(
    width: int, report: Path, dyntools: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    outcome = dyntools("show", report)
    assert outcome.code == 0
    assert outcome.out
    assert max(map(len, outcome.out.splitlines())) <= width
