"""Low-memory Adam: what is said of a report with SNRs, and when nothing is said."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from dyntools.findings.finding import Finding, Severity
from dyntools.findings.low_memory_adam import rule
from dyntools.report import Omission, Report
from tests.adam_memory.hand_made import compression_series, report, snr_series

SHAPES = {
    "0.up_proj.weight": (100, 50),
    "1.up_proj.weight": (100, 50),
    "0.down_proj.weight": (50, 100),
    "wte.weight": (1000, 50),
    "ln.weight": (50,),
}
STEPS = (100, 200, 300)


def run(up: float = 3.0, down: float = 2.0, tokens: float = 0.4) -> Report:
    snr = {
        "0.up_proj.weight": {"1": [up] * 3},
        "1.up_proj.weight": {"1": [up / 4] * 3},
        "0.down_proj.weight": {"0": [down] * 3},
        "wte.weight": {"1": [tokens] * 3},
        "ln.weight": {"0": [50.0] * 3},
    }
    return report(snr_series(SHAPES, snr, steps=STEPS))


def only(whole: Report) -> Finding:
    (finding,) = rule(whole)
    return finding


def test_the_saving_is_a_note_with_its_two_shares() -> None:
    finding = only(run())
    gone = 5000 - 100 + 5000 - 100
    share = 100 * gone / (15000 + 50000 + 50)
    assert finding.severity == Severity.note
    assert f"{share:.2f} % of the second moment" in finding.sentence
    assert f"{share / 2:.1f} % of the optimizer state" in finding.sentence
    assert finding.step == 300
    assert "--export plan.toml" in finding.remedy
    assert "--verify" in finding.remedy


def test_kinds_that_cannot_go_come_first() -> None:
    finding = only(run())
    assert finding.evidence == (
        "embedding: 0 of 1 compressed, 100 % stays; wte.weight has 0.4",
        "mlp up: 1 of 2 compressed, 51 % stays; 1.up_proj.weight has 0.75",
        "mlp down: 1 of 1 compressed, 2 % stays",
    )
    assert finding.layers == ("wte.weight", "1.up_proj.weight")


def test_what_limits_trust_is_said() -> None:
    assert "learning rate of the run is not known" in only(run()).caveat
    assert "cutoff is the authors' choice" in only(run()).caveat
    assert "says what else limits it (2)." in only(run()).caveat


def test_a_small_saving_is_worded_as_one() -> None:
    finding = only(run(up=0.9, down=2.0))
    assert finding.sentence.startswith("Only 7.")
    assert "Keep AdamW" in finding.remedy
    assert "differ along every axis" in finding.meaning
    assert only(run(up=0.1, down=0.1)).sentence.startswith("Only 0.00 %")


@pytest.mark.parametrize("whole", [run(), run(0.1, 0.1, 0.1)], ids=["much", "nothing"])
def test_the_finding_is_whole(whole: Report) -> None:
    finding = only(whole)
    for words in (finding.sentence, finding.meaning, finding.remedy, finding.caveat):
        assert words.endswith(".")
        assert "  " not in words
        assert "nan" not in words
    assert finding.evidence
    assert "arXiv" in finding.paper


def test_silent_without_measured_ratios() -> None:
    assert rule(Report()) == ()
    nothing = {name: {"0": [math.nan] * 3} for name in SHAPES}
    assert rule(report(snr_series(SHAPES, nothing, steps=STEPS))) == ()
    errors = compression_series(SHAPES, {"wte.weight": {"axes 1": [0.1]}}, steps=(1,))
    assert rule(report(errors)) == ()


def test_silent_where_the_state_is_compressed_already_or_of_another_optimizer() -> None:
    for reason in ("its second moment is compressed already", "the optimizer is not Adam but sgd"):
        series = snr_series({}, {}, steps=STEPS)
        series = replace(series, omissions=(Omission("w", reason, STEPS),))
        assert rule(report(series)) == ()


def test_a_report_that_contradicts_itself_is_no_crash() -> None:
    series = run().series["second_moment_snr"]
    wrong = replace(series, beside={**series.beside, "kept": series.beside["kept"] + 1})
    assert rule(report(wrong)) == ()
