"""A journal becomes a report at any time, also while it is being written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dyntools import gathering, hdf5
from dyntools.journal import Journal
from tests.conftest import Outcome
from tests.journals import LAYERS, begin, measured, session
from tests.reports import assert_same

Command = Callable[..., Outcome]


def test_the_report_holds_what_the_journal_holds(tmp_path: Path, dyntools: Command) -> None:
    journal = session(tmp_path / "live.jsonl")
    outcome = dyntools("seal", journal)
    assert outcome.code == 0
    assert "3 metrics at 2 steps" in outcome.out
    assert_same(hdf5.read(tmp_path / "live.h5"), gathering.report_of_journal(journal))


def test_one_that_is_being_written_is_read_up_to_its_last_whole_line(
    tmp_path: Path, dyntools: Command
) -> None:
    with Journal(tmp_path / "live.jsonl") as journal:
        begin(journal)
        measured(journal, 10, dict.fromkeys(LAYERS, 0.1))
        with (tmp_path / "live.jsonl").open("ab") as file:
            file.write(b'{"kind": "measure')
        before = (tmp_path / "live.jsonl").read_bytes()
        outcome = dyntools("seal", tmp_path / "live.jsonl", "-o", tmp_path / "so-far.h5")
        assert outcome.code == 0
        assert (tmp_path / "live.jsonl").read_bytes() == before
    assert hdf5.read(tmp_path / "so-far.h5")["layer_rotation"].steps.tolist() == [10]


def test_the_journal_of_an_analysis_gets_the_name_of_its_report(
    tmp_path: Path, dyntools: Command
) -> None:
    session(tmp_path / "run.h5.journal")
    assert dyntools("seal", tmp_path / "run.h5.journal").code == 0
    assert (tmp_path / "run.h5").is_file()


def test_an_earlier_report_is_replaced_only_if_told(tmp_path: Path, dyntools: Command) -> None:
    journal = session(tmp_path / "live.jsonl")
    dyntools("seal", journal)
    assert dyntools("seal", journal).code == 2
    assert dyntools("seal", journal, "--force").code == 0


@pytest.mark.parametrize("content", [None, "", '{"loss": 1}\n', '{"kind": "header"'])
def test_what_is_no_journal(tmp_path: Path, dyntools: Command, content: str | None) -> None:
    if content is not None:
        (tmp_path / "j").write_text(content)
    outcome = dyntools("seal", tmp_path / "j")
    assert outcome.code == 2
    assert "journal" in outcome.err
    assert "mistake of its own" not in outcome.err
    assert not (tmp_path / "j.h5").exists()


def test_report_commands_read_a_journal(tmp_path: Path, dyntools: Command) -> None:
    journal = session(tmp_path / "live.jsonl")
    dyntools("seal", journal)
    for arguments in (["--metric", "layer_rotation"], ["--csv"]):
        shown = dyntools("show", journal, *arguments)
        assert shown.code == 0
        assert shown.out == dyntools("show", tmp_path / "live.h5", *arguments).out
    assert list(json.loads(dyntools("show", journal, "--json").out)["series"])
    assert dyntools("plot", journal, "-o", tmp_path / "plots").code == 0
    assert list((tmp_path / "plots").glob("*.png"))
    refused = dyntools("adam-memory", journal)  # no second moments in it
    assert refused.code == 2
    assert "second" in refused.err
