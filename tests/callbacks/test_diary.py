"""The diary: what is in the file at once, and what becomes of it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from dyntools import journal, read_report
from dyntools.callbacks.diary import Diary
from dyntools.callbacks.requests import Requests
from dyntools.callbacks.schedule import every
from dyntools.errors import ReportError
from dyntools.gathering import report_of_journal
from dyntools.journal import Row
from dyntools.measurement import per_layer


def opened(path: Path, budget: float = 0.05) -> Diary:
    optimizer = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)
    requests = Requests.of("low-memory", every(1), None, optimizer)
    requests = Requests({**requests.tasks, **_weight_norm().tasks}, {"hessian_top": "no problem"})
    return Diary(path, requests, {"w": (2, 3)}, budget=budget, recipe={})


def _weight_norm() -> Requests:
    return Requests.of(["weight_norm"], every(1), None, None)


def row(step: int, value: float) -> Row:
    return Row("weight_norm", step, 0.25, per_layer({"w": value}, error={"w": 0.1}))


def test_each_line_is_in_the_file_before_the_next(tmp_path: Path) -> None:
    """As kill -9 would find it: nothing waits in memory."""
    path = tmp_path / "new" / "live.jsonl"
    diary = opened(path)
    attributes = report_of_journal(path).attributes
    assert (attributes["run"], attributes["budget"], attributes["step_unit"]) == (
        *("live", 0.05, "step"),
    )
    assert attributes["left_out_metrics"] == {"hessian_top": "no problem"}
    assert attributes["shapes"] == {"w": [2, 3]}
    diary.scalars(1, {"loss": math.inf})
    log = report_of_journal(path).log
    assert log is not None
    assert log.curves["loss"].values.tolist() == [math.inf]
    diary.row(row(1, math.pi))
    series = report_of_journal(path).series["weight_norm"]
    assert (series.values.tolist(), series.seconds.tolist()) == ([[math.pi]], [0.25])
    diary.note("one sentence")
    assert report_of_journal(path).notes == ("one sentence",)
    assert not path.with_suffix(".h5").exists()
    diary.seal()


def test_sealed_it_is_the_same_report_with_the_last_sentences(tmp_path: Path) -> None:
    diary = opened(tmp_path / "live.jsonl")
    for step in (1, 2):
        diary.row(row(step, float(step)))
    diary.note("first")
    sealed = diary.seal(["second", "third"])
    assert sealed == tmp_path / "live.h5"
    report = read_report(str(sealed))
    assert report.series["weight_norm"].steps.tolist() == [1, 2]
    assert report.notes == ("first", "second", "third")
    kinds = [record["kind"] for record in journal.read(tmp_path / "live.jsonl")]
    assert kinds == ["header", "measurement", "measurement", "note", "note", "note", "finished"]


def test_two_recordings_differ_and_none_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "live.jsonl"
    for number in range(3):
        diary = opened(path)
        diary.note(f"recording {number}")
        diary.seal()
    found = {p.name: report_of_journal(p) for p in tmp_path.glob("*.jsonl")}
    assert {name: report.notes for name, report in found.items()} == {
        "live-1.jsonl": ("recording 0",),
        "live-2.jsonl": ("recording 1",),
        "live.jsonl": ("recording 2",),
    }
    assert len({report.attributes["identity"] for report in found.values()}) == 3


def test_an_empty_file_is_taken_and_not_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "live.jsonl"
    path.touch()
    opened(path).seal()
    assert [p.name for p in tmp_path.glob("*.jsonl")] == ["live.jsonl"]


def test_a_full_disk_at_the_end_leaves_a_report_of_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    diary = opened(tmp_path / "live.jsonl")
    diary.row(row(1, 1.0))

    def full(*_: object, **__: object) -> None:
        raise ReportError("No space left.")

    monkeypatch.setattr(journal.Journal, "write", full)
    report = read_report(diary.seal(["not written"]))
    assert report.series["weight_norm"].steps.tolist() == [1]
    assert report.notes == ()
