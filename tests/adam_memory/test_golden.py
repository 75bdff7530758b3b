"""The SlimAdam authors' own log through our rule gives the rules they ship.

Kalra et al. 2025, arXiv:2503.01843: dayal-kalra/low-memory-adam, GPT-2 small on FineWeb at a peak
learning rate of 3e-4, 51 measured steps of 5000. The log is not part of the repository; the tests
look for it in `../shared/data/slimadam`, or where SLIMADAM_DATA says.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dyntools.adam_memory import Evidence, by_kind, decide
from dyntools.adam_memory.cutoffs import by_cutoff
from dyntools.adam_memory.evidence import evidence_of
from dyntools.adam_memory.exports import read_forms, rules_json
from dyntools.adam_memory.hindsight import hindsight
from dyntools.adam_memory.trace import report_of_trace
from dyntools.findings.low_memory_adam import rule
from dyntools.report import Report
from tests.processes import ROOT

DATA = Path(os.environ.get("SLIMADAM_DATA", ROOT.parent / "shared" / "data" / "slimadam"))
TRACE, RULES = DATA / "snr_gpt2_lr3e-4.csv", DATA / "rules_lr3e-4.json"

pytestmark = pytest.mark.skipif(
    not (TRACE.is_file() and RULES.is_file()),
    reason=f"the authors' log is not in {DATA}; SLIMADAM_DATA may name another folder",
)


@pytest.fixture(scope="module")
def trace() -> Report:
    return report_of_trace(TRACE)


@pytest.fixture(scope="module")
def evidence(trace: Report) -> Evidence:
    return evidence_of(trace)


def test_99_of_99_tensors(evidence: Evidence) -> None:
    forms = decide(evidence).forms
    shipped = read_forms(RULES)
    assert len(forms) == 99
    assert [name for name, form in forms.items() if shipped[name] != form] == []
    assert set(forms) == set(shipped)
    assert 100 * decide(evidence).saved == pytest.approx(99.40, abs=0.005)


def test_our_file_is_theirs_letter_for_letter(evidence: Evidence) -> None:
    text, notes = rules_json(decide(evidence))
    assert text == RULES.read_text("utf-8")
    assert notes == ()


def test_savings_at_other_cutoffs(evidence: Evidence) -> None:
    saved = [100 * one.saved for one in by_cutoff(evidence)]
    assert saved == pytest.approx([99.87, 99.40, 88.97, 56.76], abs=0.005)


def test_the_share_of_the_optimizer_state_and_of_training(evidence: Evidence) -> None:
    decision = decide(evidence)
    assert evidence.size == 124_373_760
    assert decision.optimizer_state.saved == pytest.approx(0.497, abs=5e-4)
    assert decision.training.saved == pytest.approx(0.2485, abs=5e-4)


# definitions.md 1: mean over layers of the mean over steps; K = 0, 1, both.
TABLE = {
    "query": (0.555, 3.176, 0.273),
    "key": (0.490, 2.597, 0.260),
    "value": (2.158, 0.731, 0.386),
    "attention output": (9.206, 0.810, 0.630),
    "mlp up": (3.070, 2.680, 1.314),
    "mlp down": (7.702, 2.518, 1.755),
    "position": (1.882, 11.598, 1.327),
    "embedding": (0.000, 5.134, 0.000),
}


def test_the_averages_by_kind(evidence: Evidence) -> None:
    found = by_kind(evidence)
    assert set(found) == {*TABLE, "norm"}
    for kind, expected in TABLE.items():
        measured = [found[kind][label] for label in ("axes 0", "axes 1", "axes 0,1")]
        assert measured == pytest.approx(expected, abs=5.1e-4), kind


def test_the_last_step_alone_says_less(trace: Report, evidence: Evidence) -> None:
    found = {one.label: one for one in hindsight(trace, decide(evidence), warm_up=2000)}
    assert 100 * found["last only"].saved == pytest.approx(97.98, abs=0.005)
    assert found["last only"].agree == 95
    assert found["last only"].steps == (5000,)
    assert found["warm-up"].saved > decide(evidence).saved


def test_the_finding_names_what_stays(trace: Report) -> None:
    (finding,) = rule(trace)
    assert "99.40 %" in finding.sentence
    assert finding.layers == ("transformer.h.2.attn.q_proj.weight",)
