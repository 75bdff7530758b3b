"""`dyntools baseline`: what the limits need, written whole or not at all; what changed is told."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dyntools.checks.baseline import read
from tests.conftest import Outcome
from tests.gates import LAYERS, RANK, TOP, gate_report, lost, write_report

Command = Callable[..., Outcome]
NOBODY = 65534  # of Linux and macOS
LIMITS = ("--limit", RANK, "--limit", TOP)


def test_it_holds_what_the_limits_need_and_no_more(tmp_path: Path, dyntools: Command) -> None:
    write_report(tmp_path / "run.h5")
    outcome = dyntools("baseline", "run.h5", *LIMITS, "-o", "baseline.json")
    assert outcome.code == 0, outcome.err
    assert outcome.out == "wrote baseline.json: 4 quantities of 1 report\n"
    made = read(tmp_path / "baseline.json")
    assert {quantity.metric for quantity in made.quantities.values()} == {
        "effective_rank",
        "hessian_top",
    }
    assert sorted(q.value for q in made.quantities.values()) == [10.0, 15.0, 20.0, 20.0]


def test_the_same_reports_give_the_same_bytes(tmp_path: Path, dyntools: Command) -> None:
    for seed in range(3):
        write_report(tmp_path / f"{seed}.h5", seed=seed, scatter=0.02)
    written = []
    for name in ("one.json", "two.json"):
        assert dyntools("baseline", "*.h5", *LIMITS, "-o", name).code == 0
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]
    assert "of 3 reports" in dyntools("baseline", "*.h5", *LIMITS, "-o", "one.json").out


def test_a_report_given_twice_is_told(tmp_path: Path, dyntools: Command) -> None:
    for name in ("run.h5", "copy.h5"):
        write_report(tmp_path / name)
    outcome = dyntools("baseline", "run.h5", "copy.h5", *LIMITS, "-o", "baseline.json")
    assert "of 1 report\n" in outcome.out
    assert "1 of 2 reports are of the same checkpoints as another" in outcome.err


def test_accepting_a_change_tells_what_changed(tmp_path: Path, dyntools: Command) -> None:
    write_report(tmp_path / "before.h5")
    write_report(tmp_path / "now.h5", 1.25, seed=1, layers=(*LAYERS[:2], "6.weight"))
    dyntools("baseline", "before.h5", *LIMITS, "-o", "baseline.json")
    outcome = dyntools("baseline", "now.h5", *LIMITS, "-o", "baseline.json")
    assert outcome.code == 0
    rows = [line.split() for line in outcome.out.splitlines()]
    assert ["hessian_top[block=all,rank=1]@last", "20.0", "25.0±0.1", "+25.0", "%"] in rows
    assert outcome.out.splitlines()[-1] == "0 as before, 1 new, 1 gone"
    again = dyntools("baseline", "now.h5", *LIMITS, "-o", "baseline.json")
    assert again.out.splitlines()[-1] == "4 as before"


def test_many_changes_are_a_few_lines(tmp_path: Path, dyntools: Command) -> None:
    layers = [f"h.{i}.weight" for i in range(1000)]
    for name, scale in (("before", 1.0), ("now", 1.2)):
        only = ["effective_rank"]
        write_report(tmp_path / f"{name}.h5", scale, layers=layers, only=only, steps=(0, 1))
        outcome = dyntools("baseline", f"{name}.h5", "--limit", RANK, "-o", "baseline.json")
    assert len(outcome.out.splitlines()) < 20
    assert outcome.out.splitlines()[-1] == "988 more changed, 0 as before"


def test_a_number_that_is_not_there_is_told(tmp_path: Path, dyntools: Command) -> None:
    write_report(tmp_path / "run.h5", **lost(gate_report()["effective_rank"]))
    outcome = dyntools("baseline", "run.h5", *LIMITS, "-o", "baseline.json")
    assert outcome.code == 0
    assert outcome.err.count("no baseline for this: effective_rank") == 3
    missing = ("--limit", "stable_rank@last within 1%")
    outcome = dyntools("baseline", "run.h5", *LIMITS, *missing, "-o", "baseline.json")
    assert "does not hold stable_rank" in outcome.err


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ("hesian_top@last within 10%", "hessian_top"),
        ("effective_rank[9.weight]@last within 10%", "0.weight"),
        ("hessian_top[0]@max below 40", "No limit is on the change"),
        ("stable_rank@last within 10%", "hold nothing that the limits are on"),
    ],
)
def test_limits_that_cannot_be_met(
    limit: str, sentence: str, tmp_path: Path, dyntools: Command
) -> None:
    write_report(tmp_path / "run.h5")
    outcome = dyntools("baseline", "run.h5", "--limit", limit, "-o", "baseline.json")
    assert outcome.code == 2
    assert sentence in outcome.err, outcome.err
    assert not (tmp_path / "baseline.json").exists()


@pytest.mark.parametrize(
    "content",
    [
        "a precious note\n",
        json.dumps({"schema": "dyntools-baseline", "schema_version": "9.0.0"}),
        '{"schema": "dyntools-baseline", <<<<<<< HEAD',
    ],
)
def test_only_a_baseline_is_replaced(content: str, tmp_path: Path, dyntools: Command) -> None:
    write_report(tmp_path / "run.h5")
    (tmp_path / "baseline.json").write_text(content)
    outcome = dyntools("baseline", "run.h5", *LIMITS, "-o", "baseline.json")
    assert outcome.code == 2
    assert "remove it" in outcome.err
    assert (tmp_path / "baseline.json").read_text() == content
    folder = dyntools("baseline", "run.h5", *LIMITS, "-o", tmp_path)
    assert folder.code == 2


@contextmanager
def unprivileged() -> Iterator[None]:
    """As an ordinary user, for root may write anywhere."""
    user = os.geteuid()
    os.seteuid(NOBODY if user == 0 else user)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_folder_that_is_read_only(dyntools: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own are closed to other users
        folder = Path(name)
        folder.chmod(0o755)
        monkeypatch.chdir(folder)
        write_report(folder / "before.h5")
        write_report(folder / "now.h5", 1.3, seed=1)
        assert dyntools("baseline", "before.h5", *LIMITS, "-o", "baseline.json").code == 0
        before = (folder / "baseline.json").read_bytes()
        folder.chmod(0o555)
        with unprivileged():
            outcome = dyntools("baseline", "now.h5", *LIMITS, "-o", "baseline.json")
            check = ("check", "now.h5", "--baseline", "baseline.json", *LIMITS)
            checked = dyntools(*check, "--output", "out.txt")
        folder.chmod(0o755)
        assert (folder / "baseline.json").read_bytes() == before
        assert {path.name for path in folder.iterdir()} == {"before.h5", "now.h5", "baseline.json"}
    assert outcome.code == 2
    assert "Permission denied" in outcome.err
    assert not outcome.out
    assert checked.code == 2
    assert "could not be written" in checked.err
    assert "FAIL: 4 checks failed." in checked.out
    monkeypatch.chdir("/")


def test_a_file_where_the_folder_should_be(tmp_path: Path, dyntools: Command) -> None:
    write_report(tmp_path / "run.h5")
    (tmp_path / "file").write_text("here first")
    outcome = dyntools("baseline", "run.h5", *LIMITS, "-o", "file/baseline.json")
    assert outcome.code == 2
    assert "file" in outcome.err
    assert "Traceback" not in outcome.err
    assert (tmp_path / "file").read_text() == "here first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "run.h5"]
