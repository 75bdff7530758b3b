"""What a page says of where its numbers come from, and of what is not there."""

from __future__ import annotations

import numpy as np

from dyntools.page.provenance import absent, checkpoints, left_out, provenance, settings
from dyntools.page.sections import card
from dyntools.report import CheckpointRow, Omission, Report
from tests.page.conftest import log_of, series


def test_attributes_are_told_in_words() -> None:
    report = Report(
        {"run": "r", "command": "dyntools analyze r", "problem": {"hash": "abc", "examples": 3},
         "steps": list(range(0, 100, 10)), "empty": "", "left_out_metrics": {"a": "b"}},
        {"m": series("m", [1.0, 2.0], settings={"probe": "abc: 3 examples"})},
    )  # fmt: skip
    rows = {row[0].text: row[1].text for row in provenance(report).rows}
    assert rows == {
        "command": "dyntools analyze r",
        "problem": "hash = abc, examples = 3",
        "steps": "10: 0 to 90",
        "probe": "abc: 3 examples",
    }


def test_reasons_are_told_once() -> None:
    omission = Omission("a.bias", "1-d tensor", (0, 100))
    report = Report(
        {"left_out_metrics": {"hessian_top": "no loss", "hessian_trace": "no loss"}},
        {"m": series("m", [[1.0], [2.0]], omissions=(omission,))},
    )
    found = left_out(report)
    assert found is not None
    assert [tuple(cell.text for cell in row) for row in found.rows] == [
        ("1-d tensor", "1 tensor: a.bias (m)"),
        ("no loss", "hessian_top, hessian_trace"),
    ]
    assert left_out(Report()) is None


def test_what_is_absent_is_said_with_its_remedy() -> None:
    assert len(absent(Report(), False)) == 4
    log = log_of(train_loss=([0], [1.0]))
    measured = {g: series(g, [1.0], group=g) for g in ("weights", "curvature", "optimizer")}
    assert absent(Report({}, measured, (), log), True) == ()
    (said,) = absent(Report({}, measured, (), log), False)
    assert "--preset low-memory" in said


def test_checkpoints_have_their_status_and_metrics_their_cost() -> None:
    rows = (CheckpointRow("a.pt", "torch", 5, "file name", "ok"),
            CheckpointRow("b.pt", "torch", None, "", "damaged", "cut"))  # fmt: skip
    table = checkpoints(Report({}, {}, rows))
    assert [tuple(c.text for c in row) for row in table.rows] == [
        ("5", "a.pt", "ok", "torch", "file name"),
        ("–", "b.pt", "damaged", "torch", "cut"),
    ]
    assert table.rows[1][2].tone == "failed"
    (row,) = settings(Report({}, {"m": series("m", [1.0, 2.0, 3.0])})).rows
    assert [c.text for c in row] == ["m", "1", "seed = 0", "3.00", "0"]


def test_a_card_has_the_numbers_of_show() -> None:
    found = card(series("m", [[1.0, 2.0], [3.0, np.nan]], unit="weight"))
    (table,) = found.tables
    cells = {row[0].text: [c.text for c in row[1:]] for row in table.rows}
    assert cells == {"h.0": ["1.00", "3.00", "+2.00", "▁█"], "h.1": ["2.00", "failed", "–", "▄ "]}
    assert found.facts.startswith("2 steps, 0 to 100 · in weight · Author 2020")
