"""The live frame: what it says is what the journal holds, at every width and height."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from dyntools import findings, gathering
from dyntools.findings import Finding, Severity
from dyntools.journal import Journal
from dyntools.log import Curve
from dyntools.report import Report
from dyntools.views.live_frame import State, frame, waiting
from dyntools.views.live_gauges import gauges
from dyntools.views.live_layers import Order, layers
from dyntools.views.live_pace import pace, span
from dyntools.views.live_plot import Line, plot
from tests.journals import LAYERS, begin, measured, session
from tests.reports import random_report


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return gathering.report_of_journal(session(tmp_path / "live.jsonl"))


def printed(content: object, width: int, encoding: str = "utf-8") -> list[str]:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=stream, width=width, force_terminal=False, highlight=False).print(content)
    stream.seek(0)
    return stream.read().splitlines()


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 200])
@pytest.mark.parametrize("height", [5, 10, 24, 30, 40, 60, None])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_every_frame_fits(report: Report, width: int, height: int | None, encoding: str) -> None:
    found = findings.find(report)
    lines = printed(frame(report, found, State(), height), width, encoding)
    if width >= 40:  # the layer table is never narrower than its names
        assert max(map(cell_len, lines)) <= width
    if height is not None and height >= 10:
        assert len(lines) <= height
    assert lines[0].startswith("by hand"[:width])


@pytest.mark.parametrize("seed", range(3))
def test_reports_with_every_odd_value(seed: int) -> None:
    one = random_report(seed=seed)
    assert printed(frame(one, findings.find(one), State(), 30), 80)


def test_an_empty_recording_is_a_frame(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        begin(journal)
    one = gathering.report_of_journal(tmp_path / "j")
    assert printed(frame(one, (), State()), 80)[0] == "by hand · recording"
    assert printed(waiting("a\x1b[2Jb"), 80) == ["waiting for a\\x1b[2Jb"]


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (State(), "recording"),
        (State(quiet=200.0), "quiet for 3 min 20 s"),
        (State(quiet=200.0, finished=True), "finished"),
        (State(there=False, finished=True), "the file is gone"),
    ],
)
def test_the_state_is_a_word(report: Report, state: State, word: str) -> None:
    assert printed(frame(report, (), state), 120)[0].endswith(f" · {word}")


def test_pace_is_from_the_clock_of_the_training(report: Report) -> None:
    found = pace(report)
    # Made so: a step each 0.1 s; of the 3 s of measuring half came behind the last logged step.
    assert (found.step, found.budget) == (100, 0.05)
    np.testing.assert_allclose([found.per_second, found.elapsed, found.share], [10, 10, 0.15])


def test_pace_without_scalars_or_times_is_unknown(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        begin(journal)
        measured(journal, 7, dict.fromkeys(LAYERS, 0.1))
    found = pace(gathering.report_of_journal(tmp_path / "j"))
    assert found.step == 7
    assert np.isnan([found.per_second, found.elapsed, found.share, found.budget]).all()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (125, "2 min 5 s"), (7260, "2 h 1 min"),
     (90000, "1 d 1 h")],
)  # fmt: skip
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_gauges_are_the_last_values(report: Report) -> None:
    found = {gauge.name: gauge for gauge in gauges(report)}
    assert list(found) == [
        *("train loss", "sharpness (Adam)", "rotation", "eff.rank × random", "learning rate"),
    ]
    assert found["train loss"].now.plain == "4.50"
    assert found["sharpness (Adam)"].remark.plain == "0.900 × threshold 20.0 at 100"
    np.testing.assert_allclose(found["rotation"].course, [0.1, 0.245])
    assert found["rotation"].remark.plain == "highest 0.900 in h.3.mlp"
    np.testing.assert_allclose(found["eff.rank × random"].course, [0.9, 0.9])


def test_a_loss_that_is_no_number_says_so(report: Report) -> None:
    assert report.log is not None
    curve = report.log.curves["loss"]
    values = np.append(curve.values[:-1], np.nan)
    log = replace(report.log, curves={**report.log.curves, "loss": replace(curve, values=values)})
    found = gauges(replace(report, log=log))
    assert found[0].now.plain == "NaN"
    assert printed(frame(replace(report, log=log), (), State()), 80)


def finding(severity: Severity, *names: str) -> Finding:
    return Finding("a_rule", severity, "seen", (), "", "", "", "", layers=names)


def names_of(report: Report, found: tuple[Finding, ...], order: Order) -> list[str]:
    lines = printed(layers(report, found, order, 100, 20), 100)
    return [line.split()[0] for line in lines[4:]]


def test_concern_is_findings_then_what_stands_out(report: Report) -> None:
    found = (finding(Severity.act, "h.2.attn.weight"), finding(Severity.watch, "h.0.mlp.weight"))
    noted = (*found, finding(Severity.note, "h.1.attn.weight"))
    assert names_of(report, noted, Order())[:3] == ["h.2.attn", "h.0.mlp", "h.3.mlp"]
    assert names_of(report, (), Order())[0] == "h.3.mlp"


def test_rows_are_cut_and_counted(report: Report) -> None:
    lines = printed(layers(report, (), Order(layers="*attn*"), 100, 3), 100)
    assert lines[0] == "Layers at step 100: 3 of 5 layers, by concern, like *attn*"
    assert len(lines) == 4 + 3


def curve(values: list[float], steps: list[int] | None = None) -> Curve:
    at = np.array(steps or range(len(values)), dtype=np.int64)
    return Curve("loss", at, np.array(values, dtype=np.float64), "step", None, "")


def test_a_falling_line_is_drawn_from_the_top_left_to_the_bottom_right() -> None:
    rows = [row.plain for row in plot([Line("train", curve([3.0, 2.0, 1.0]))], 40, 4)]
    assert len(rows) == 5
    assert rows[0].startswith("3.00 ⠉")
    assert rows[3].startswith("1.00  ")
    assert rows[3].endswith("⣀ train 1.00")
    ink = [[i for i, c in enumerate(row) if "⠀" < c <= "⣿"] for row in rows[:4]]
    assert all(max(above) <= min(below) + 1 for above, below in pairwise(ink))
    assert rows[4].split() == ["0", "2"]


def test_a_constant_a_point_and_nothing() -> None:
    assert plot([Line("train", curve([2.0, 2.0]))], 40, 3)
    assert plot([Line("train", curve([2.0]))], 40, 3)
    assert plot([Line("train", curve([np.nan, np.inf]))], 40, 3) == []
    assert plot([], 40, 3) == []
    assert plot([Line("train", curve([2.0, 1.0]))], 20, 3) == []  # no room beside the names


def test_two_curves_are_named_in_two_rows() -> None:
    rows = plot([Line("train", curve([2.0, 1.0])), Line("val", curve([2.0, 1.0]))], 60, 4)
    named = [row.plain for row in rows if "train" in row.plain or "val" in row.plain]
    assert len(named) == 2
