"""The facts above a page, and the sentence that counts the findings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from dyntools import hdf5
from dyntools.findings import Finding, Severity
from dyntools.page.blocks import tables
from dyntools.page.memory import behind, decision_of, plan
from dyntools.page.summary import Fact, facts, verdict
from dyntools.report import CheckpointRow, Report
from tests.adam_memory import hand_made as by_hand
from tests.conftest import Outcome
from tests.page.conftest import log_of, series

ONE = Finding("r", Severity.act, "s", (), "m", "r", "p", "c")


def test_findings_are_counted_by_what_they_ask_for() -> None:
    note = replace(ONE, severity=Severity.note)
    assert verdict((ONE, note, note)) == "3 findings: 1 to act on, 2 to know."
    assert verdict((note,)) == "1 finding to know."
    assert verdict(()) == "No rule fired. That is not a proof that the run is well."


def test_facts_are_the_last_numbers_and_the_best() -> None:
    log = log_of(train_loss=([0, 10, 20], [3.0, 1.0, np.nan]),
                 validation_loss=([0, 10, 20], [3.0, 1.5, 2.0]))  # fmt: skip
    rows = [CheckpointRow("a", "torch", 0, "", "ok"), CheckpointRow("b", "torch", 20, "", "ok"),
            CheckpointRow("c", "torch", None, "", "damaged", "short")]  # fmt: skip
    ranks = series("hessian_top", [[1.0, 0.5], [19.0, 2.0]], dims=("rank",),
                   coords={"rank": (1, 2)},
                   beside={"threshold": np.full((2, 2), 20.0)})  # fmt: skip
    assert facts(Report({}, {"hessian_top": ranks}, rows, log), None) == (
        Fact("checkpoints", "2", "step 0 to 20, 1 not used"),
        Fact("training loss", "NaN", "best 1.00 at step 10"),
        Fact("validation loss", "2.00", "best 1.50 at step 10"),
        Fact("hessian top", "19.0", "threshold 20.0"),
    )


def test_the_plan_says_what_the_command_says(dyntools: Callable[..., Outcome]) -> None:
    shapes = {"a.weight": (64, 32), "b.weight": (8, 8)}
    ratios = {
        "a.weight": {"0": [2.0, 3.0], "1": [0.5, 0.5], "0,1": [0.4, 0.4]},
        "b.weight": {"0": [0.1, 0.1], "1": [0.2, 0.1], "0,1": [0.1, 0.1]},
    }
    report = by_hand.report(by_hand.snr_series(shapes, ratios, steps=(10, 20)))
    decision = decision_of(report)
    assert decision is not None
    # Of 64 × 32 the average over the first axis keeps 32 of 2048; the other 64 entries stay.
    share = f"{100 * (1 - 96 / 2112):.2f} %"
    (sentence, *_) = plan(decision)
    assert sentence.text.startswith(f"{share} of Adam's second moment can go, in 1 of 2")  # type: ignore[union-attr]
    assert facts(report, decision)[-1].more == "8.25 KiB → 384 B"
    hdf5.write(report, Path("r.h5"))
    printed = " ".join(dyntools("adam-memory", "r.h5").out.split())
    for title, found in (("", plan(decision)), *behind(report, decision)):
        assert title in printed
        for table in tables(found):
            for row in table.rows:
                for cell in row:
                    assert " ".join(cell.text.split()) in printed
    assert decision_of(Report()) is None
