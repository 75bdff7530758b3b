"""A journal is followed from where the last look ended, through everything that happens to it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dyntools import gathering, hdf5
from dyntools.cli.following import Following
from dyntools.errors import ReportError
from dyntools.journal import Journal
from tests.journals import LAYERS, begin, measured, scalars, session
from tests.reports import assert_same


def steps_of(following: Following) -> int:
    report = following.report
    assert report is not None
    assert report.log is not None
    return int(report.log.last_step or 0)


def test_any_cut_into_looks_gives_the_report_of_one_reading(tmp_path: Path) -> None:
    """Whole lines, halves of lines and single bytes, as a network file system hands them over."""
    content = session(tmp_path / "whole.jsonl", 20).read_bytes()
    path = tmp_path / "live.jsonl"
    following = Following(path)
    end = 0
    for size in [1, 5, 12, 30, *[977] * (len(content) // 977 + 1)]:
        end += size
        with path.open("ab") as file:
            file.write(content[end - size : end])
        following.look()
    assert path.read_bytes() == content
    assert following.report is not None
    whole = gathering.report_of_journal(tmp_path / "whole.jsonl")
    assert list(following.report.series) == list(whole.series)
    for name, series in whole.series.items():
        assert series.values.tobytes() == following.report.series[name].values.tobytes()
    assert steps_of(following) == 20


def test_a_look_without_news_says_so(tmp_path: Path) -> None:
    following = Following(session(tmp_path / "j"))
    assert following.look()
    before = following.report
    assert not following.look()
    assert following.report is before


def test_a_torn_last_line_waits_for_its_end(tmp_path: Path) -> None:
    path = session(tmp_path / "j", 20)
    following = Following(path)
    following.look()
    with path.open("ab") as file:
        file.write(b'{"kind": "scalars", "step": 21, "time": 1.0, "val')
    assert not following.look()
    assert steps_of(following) == 20
    with path.open("ab") as file:
        file.write(b'ues": {"loss": 0.5}}\n')
    assert following.look()
    assert steps_of(following) == 21


def test_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    following = Following(tmp_path / "sub" / "live.jsonl")
    assert not following.look()
    assert following.report is None
    (tmp_path / "sub").mkdir()
    session(tmp_path / "sub" / "live.jsonl", 10)
    assert following.look()
    assert steps_of(following) == 10


@pytest.mark.parametrize("more", [10, 200])
def test_begun_anew_in_place_is_read_from_its_start(tmp_path: Path, more: int) -> None:
    """Shorter than before, and, the harder case, longer than before by the next look."""
    path = session(tmp_path / "j", 50, "first")
    following = Following(path)
    following.look()
    session(path, more, "second")
    assert following.look()
    assert steps_of(following) == more
    assert following.report is not None
    assert following.report.attributes["identity"] == "second"


def test_set_aside_and_begun_anew(tmp_path: Path) -> None:
    path = session(tmp_path / "live.jsonl", 50, "first", finished=True)
    following = Following(path)
    following.look()
    assert following.finished
    path.rename(tmp_path / "live-1.jsonl")
    assert following.look()  # the news is that it is gone
    assert not following.there
    assert steps_of(following) == 50
    session(path, 30, "second")
    assert following.look()
    assert (following.there, following.finished) == (True, False)
    assert steps_of(following) == 30


def test_damaged_lines_between_are_counted(tmp_path: Path) -> None:
    path = session(tmp_path / "j", 10)
    with path.open("ab") as file:
        file.write(b"\x00\x00 no record\n")
    following = Following(path)
    following.look()
    assert following.report is not None
    assert following.report.notes[-1] == "damaged lines of the journal that were skipped: 1"


def test_while_another_holds_the_lock_and_writes(tmp_path: Path) -> None:
    path = tmp_path / "j"
    opened, going = threading.Event(), threading.Event()

    def train() -> None:
        with Journal(path) as journal:
            begin(journal)
            opened.set()
            going.wait(10)
            for step in range(300):
                scalars(journal, [(step, float(step))])
                if step % 100 == 0:
                    measured(journal, step, dict.fromkeys(LAYERS, 0.1))

    thread = threading.Thread(target=train)
    thread.start()
    opened.wait(10)
    following = Following(path)
    assert following.look()
    assert following.report is not None
    assert not following.report.series
    going.set()
    seen = 0
    while thread.is_alive():
        if following.look():
            assert steps_of(following) >= seen
            seen = steps_of(following)
    thread.join()
    following.look()
    assert steps_of(following) == 299
    assert following.report["layer_rotation"].steps.tolist() == [0, 100, 200]


def test_a_sealed_report_is_the_last_frame(tmp_path: Path) -> None:
    report = gathering.report_of_journal(session(tmp_path / "j"))
    hdf5.write(report, tmp_path / "j.h5")
    following = Following(tmp_path / "j.h5")
    assert following.look()
    assert not following.look()
    assert following.finished
    assert following.report is not None
    assert_same(following.report, hdf5.read(tmp_path / "j.h5"))


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": 0.5}\n')
    with pytest.raises(ReportError, match="not HDF5"):
        Following(tmp_path / "log.jsonl").look()
    with pytest.raises(ReportError, match="folder") as raised:
        Following(tmp_path).look()
    assert "log.jsonl" in str(raised.value)
