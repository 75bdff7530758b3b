"""`dyntools compare` through the command line: what it prints, what it refuses, how it ends."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dyntools import hdf5
from dyntools.log import Role
from dyntools.report import Report
from tests.comparison.reports import report, series
from tests.conftest import Outcome
from tests.journals import session
from tests.processes import python
from tests.reports import random_report

Run = Callable[..., Outcome]
LAYERS = ("fc.weight", "ünï.weight[query]")


def simple(value: float, *, width: int = 8, rate: float = 1e-3, loss: float = 1.0) -> Report:
    return report(
        series("hessian_top", (0, 5), [[1.0], [value]], coords={"rank": (1,)}, error=0.1,
               settings={"probe": "ab: 64 examples, eval, float32"}),
        series("weight_norm", (0, 5), [[1.0, 1.0], [value, 2.0]], layers=LAYERS, error=1e-9,
               beside={"rms": [[1.0, 1.0], [value, 2.0]]}),
        shapes={"fc.weight": [width, 4]},
        log={Role.learning_rate: [rate], Role.validation_loss: [2.0, loss]},
        run=f"run {value}",
        checkpoints=(0, 5),
    )  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """a.h5 and b.h5, and three seeds of two recipes below seeds/."""
    (tmp_path / "seeds").mkdir()
    hdf5.write(simple(2.0), tmp_path / "a.h5")
    hdf5.write(simple(4.0, width=16, rate=1e-2, loss=0.5), tmp_path / "b.h5")
    for i in range(3):
        hdf5.write(simple(2.0 + 0.1 * i), tmp_path / f"seeds/base-{i}.h5")
        hdf5.write(simple(4.0 + 0.1 * i), tmp_path / f"seeds/other-{i}.h5")
    return tmp_path


def test_the_summary(files: Path, dyntools: Run) -> None:
    outcome = dyntools("compare", "a.h5", "b.h5")
    assert outcome.code == 0
    assert not outcome.err
    assert "a, b side by side" in outcome.out
    assert "Aligned by step (all reports have these steps). At step 5." in outcome.out
    assert "hessian_top  2.00±0.10  4.00±0.10" in outcome.out
    assert "Furthest apart" in outcome.out
    assert "Findings that differ" in outcome.out


def test_one_metric_at_one_step_of_some_layers(files: Path, dyntools: Run) -> None:
    outcome = dyntools("compare", "a.h5", "b.h5", "--metric", "weight_norm", "--step", 0)
    assert outcome.code == 0
    assert "At step 0" in outcome.out
    filtered = dyntools(
        "compare", "a.h5", "b.h5", "--metric", "weight_norm", "--layer", "*[query]", "--all"
    )
    assert "ünï" in filtered.out
    assert "fc" not in filtered.out


def test_groups_of_seeds_are_tested(files: Path, dyntools: Run) -> None:
    outcome = dyntools(
        "compare", "--group", "base=seeds/base-*.h5", "--group", "other=seeds/other-*.h5",
        "--metric", "hessian_top",
    )  # fmt: skip
    assert outcome.code == 0
    assert "2.10±0.06" in outcome.out
    assert "too few: 3 against 3 seeds" in outcome.out


@pytest.mark.parametrize("form", ["rich", "plain", "json", "csv", "markdown"])
@pytest.mark.parametrize("metric", [(), ("--metric", "weight_norm")])
def test_every_format(files: Path, dyntools: Run, form: str, metric: tuple[str, ...]) -> None:
    outcome = dyntools("compare", "a.h5", "b.h5", *metric, "--format", form)
    assert outcome.code == 0
    assert outcome.out.isascii() or form != "csv" or "ünï" in outcome.out
    if form == "json":
        assert "weight_norm" in json.loads(outcome.out)["metrics"]
    elif form == "csv":
        assert len(list(csv.DictReader(outcome.out.splitlines()))) == (8 if metric else 4)
    elif form == "markdown":
        assert "| --- |" in outcome.out
    else:
        assert "weight_norm" in outcome.out


def test_a_picture(files: Path, dyntools: Run) -> None:
    outcome = dyntools("compare", "a.h5", "b.h5", "--metric", "hessian_top", "--plot", "x.png")
    assert outcome.code == 0
    assert "picture: x.png" in outcome.err
    assert (files / "x.png").stat().st_size > 1000
    missing = dyntools("compare", "a.h5", "b.h5", "--metric", "hessian_top", "--plot", "no/x.png")
    assert missing.code == 2
    assert "cannot be written" in missing.err
    assert "try: --plot FILE.png" in missing.err


@pytest.mark.parametrize("view", ["width-transfer", "coordinate-check", "lr-sensitivity"])
def test_views_over_several_runs(files: Path, dyntools: Run, view: str) -> None:
    outcome = dyntools("compare", "a.h5", "b.h5", "--view", view)
    assert outcome.code == 0, outcome.err
    data = dyntools("compare", "a.h5", "b.h5", "--view", view, "--format", "json")
    assert json.loads(data.out)["view"] == view


def test_given_widths_and_rates(files: Path, dyntools: Run) -> None:
    given = ("--x", "a=100", "--x", "b=200")
    widths = dyntools("compare", "a.h5", "b.h5", "--view", "width-transfer", *given)
    assert "The widths are those given." in widths.out
    rates = dyntools("compare", "a.h5", "b.h5", "--view", "lr-sensitivity", *given)
    assert "over 2 rates from 100 to 200" in rates.out


def test_a_damaged_file_does_not_hide_the_others(files: Path, dyntools: Run) -> None:
    (files / "broken.h5").write_bytes((files / "a.h5").read_bytes()[:1000])
    outcome = dyntools("compare", "a.h5", "broken.h5", "b.h5", "--metric", "hessian_top")
    assert outcome.code == 2
    assert "broken.h5" in outcome.err
    assert "2.00±0.10" in outcome.out
    alone = dyntools("compare", "a.h5", "broken.h5")
    assert alone.code == 2
    assert "broken.h5" in alone.err
    assert not alone.out


def test_the_same_report_twice_is_said(files: Path, dyntools: Run) -> None:
    outcome = dyntools("compare", "a.h5", "a.h5", "--metric", "weight_norm")
    assert outcome.code == 0
    assert "a.h5 and a.h5 come from the same checkpoints" in outcome.err
    assert "within" in outcome.out
    assert "differs  " not in outcome.out


def test_journals_are_reports_too(files: Path, dyntools: Run) -> None:
    """One finished, one that is still being written: each as far as it got."""
    session(files / "one.jsonl", steps=100, finished=True)
    session(files / "two.jsonl", steps=50)
    outcome = dyntools("compare", "one.jsonl", "two.jsonl", "--metric", "layer_rotation")
    assert outcome.code == 0
    assert "Aligned by step (all reports have these steps). At step 50." in outcome.out
    assert "h.4.mlp" in outcome.out


def test_reports_without_a_common_metric(files: Path, dyntools: Run) -> None:
    hdf5.write(random_report(), files / "random.h5")
    outcome = dyntools("compare", "a.h5", "random.h5")
    assert outcome.code == 2
    assert "no metric in common" in outcome.err


def test_different_step_units_are_said(files: Path, dyntools: Run) -> None:
    one = simple(3.0)
    at = np.array([0, 2])
    epochs = {n: replace(s, step_unit="epoch", steps=at) for n, s in one.series.items()}
    hdf5.write(replace(one, series=epochs, log=None, checkpoints=()), files / "epochs.h5")
    outcome = dyntools("compare", "a.h5", "epochs.h5", "--metric", "weight_norm")
    assert outcome.code == 0
    assert "different units, step and epoch" in outcome.out
    refused = dyntools("compare", "a.h5", "epochs.h5", "--metric", "weight_norm", "--align", "step")
    assert refused.code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "at least two"),
        (["a.h5"], "dyntools show"),
        (["a.h5", "missing.h5"], "missing.h5"),
        (["a.h5", "none-*.h5"], "No file has a name like this"),
        (["a.h5", "b.h5", "--metric", "hesian_top"], "hessian_top"),
        (["a.h5", "b.h5", "--metric", "weight_norm.rsm"], "rms"),
        (["a.h5", "b.h5", "--metric", "weight_norm", "--step", "3"], "--step 0, --step 5"),
        (["a.h5", "b.h5", "--metric", "weight_norm", "--layer", "fx.*"], "No layer is like"),
        (["a.h5", "b.h5", "--step", "3"], "--step goes with --metric"),
        (["a.h5", "b.h5", "--plot", "x.png"], "--plot draws one metric"),
        (["a.h5", "b.h5", "--metric", "weight_norm", "--plot", "x.gif"], "one picture"),
        (["a.h5", "b.h5", "--view", "width-transfer", "--metric", "m"], "own metrics"),
        (["a.h5", "b.h5", "--view", "width-transfer", "--format", "csv"], "no CSV"),
        (["a.h5", "b.h5", "--view", "width-transfer", "--x", "a=0"], "positive number"),
        (["a.h5", "b.h5", "--view", "width-transfer", "--x", "c=8"], "names no run"),
        (["a.h5", "--group", "seeds/*.h5"], "NAME=GLOB"),
        (["a.h5", "--group", "a=seeds/*.h5"], "both be called"),
        (["a.h5", "b.h5", "--align", "epoch"], "epoch"),
        (["a.h5", "b.h5", "--format", "html"], "html"),
    ],
)
def test_mistakes_are_a_sentence_and_code_2(
    files: Path, dyntools: Run, arguments: list[str], words: str
) -> None:
    outcome = dyntools("compare", *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert "Traceback" not in outcome.err


def test_neither_torch_nor_matplotlib_is_imported(files: Path) -> None:
    code = (
        "import sys; from dyntools.cli import run; code = run(sys.argv[1:]);"
        "assert not {'torch', 'matplotlib'} & set(sys.modules); sys.exit(code)"
    )
    result = python(code, "compare", str(files / "a.h5"), str(files / "b.h5"))
    assert result.returncode == 0, result.stderr
