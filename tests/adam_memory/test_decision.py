"""Totals in entries and bytes, against sums by hand; what is refused; the JSON."""

from __future__ import annotations

import json
import math

import pytest

from dyntools.adam_memory import Candidate, Tensor, as_dict, decide
from dyntools.errors import UsageError
from dyntools.forms import EIGHT_BIT, FULL, mean_over
from tests.adam_memory.hand_made import evidence, tensor, with_errors

THREE = evidence(
    tensor("up", (100, 50), axes_1=3.0, axes_0=2.0),
    tensor("out", (50, 100), "attention output", axes_0=0.7, axes_1=0.5),
    tensor("ln", (50,), "norm", axes_0=40.0),
)


def test_totals_are_sums_over_tensors() -> None:
    decision = decide(THREE)
    assert decision.forms == {"up": mean_over(1), "out": FULL, "ln": FULL}
    weights, kept = 5000 + 5000 + 50, 100 + 5000 + 50
    assert (decision.entries.before, decision.entries.after) == (weights, kept)
    assert decision.saved == pytest.approx(4900 / 10050)
    assert decision.second_moment.before == 4 * weights
    assert decision.second_moment.after == 4 * kept
    assert decision.optimizer_state.before == 8 * weights
    assert decision.optimizer_state.after == 4 * weights + 4 * kept
    assert decision.training.before == 16 * weights
    assert decision.training.after == 12 * weights + 4 * kept
    assert decision.optimizer_state.saved == pytest.approx(decision.saved / 2)
    assert decision.training.saved == pytest.approx(decision.saved / 4)
    assert [choice.bytes_after for choice in decision.choices] == [400, 20000, 200]
    assert [choice.tensor.name for choice in decision.compressed] == ["up"]


def test_codes_of_8_bit_save_bytes_and_no_entries() -> None:
    found = evidence(with_errors("w", (256, 256), {"8-bit": 0.01}))
    decision = decide(found, "update-error")
    assert decision.forms == {"w": EIGHT_BIT}
    assert decision.saved == 0
    assert decision.second_moment.after == 256 * 256 + 4 * 256
    assert decision.needs_library


def test_an_empty_evidence_decides_nothing() -> None:
    with pytest.raises(UsageError):
        decide(evidence())


def test_the_rule_update_error_has_a_limit_of_its_own() -> None:
    found = evidence(with_errors("w", (8, 8), {"axes 0": 0.1, "axes 1": 0.11}))
    decision = decide(found, "update-error")
    assert decision.max_update_error == 0.1
    assert decision.forms == {"w": mean_over(0)}
    assert decide(found, "update-error", max_update_error=0.05).forms == {"w": FULL}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rule": "slimadm"}, "no rule 'slimadm'"),
        ({"cutoff": 0.0}, "cutoff must be above 0"),
        ({"cutoff": math.nan}, "cutoff must be above 0"),
        ({"max_update_error": -0.1}, "error of the update must be above 0"),
        ({"rule": "update-error"}, "second_moment_compression"),
        ({"max_update_error": 0.1}, "second_moment_compression"),
    ],
)
def test_what_cannot_be_decided_is_said(settings: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words) as error:
        decide(THREE, **settings)  # type: ignore[arg-type]
    if "rule" in settings and "slim" in str(settings["rule"]):
        assert "slimadam" in (error.value.remedy or "")


def test_a_rule_without_its_numbers_is_refused() -> None:
    found = evidence(with_errors("w", (8, 8), {"axes 0": 0.1}))
    with pytest.raises(UsageError, match="second_moment_snr") as error:
        decide(found)
    assert "dyntools analyze" in (error.value.remedy or "")
    raw_only = Tensor("w", (8, 8), "mlp up", (Candidate(mean_over(0), "axes 0", snr=2.0),))
    with pytest.raises(UsageError, match="beta2"):
        decide(evidence(raw_only), "corrected")


def test_the_dictionary_is_strict_json_and_complete() -> None:
    odd = Tensor("c", (4, 4), "mlp up", (Candidate(mean_over(0), "axes 0", snr=math.inf),))
    found = as_dict(decide(evidence(*THREE.tensors, odd)))
    text = json.dumps(found, allow_nan=False)
    read = json.loads(text)
    assert read["totals"]["second_moment"]["after"] == 4 * (5150 + 4)
    assert [t["form"] for t in read["tensors"]] == ["axes 1", "full", "full", "axes 0"]
    (candidate,) = read["tensors"][3]["candidates"]
    assert candidate["snr"] is None
    assert candidate["constant"] is True
    assert candidate["update_error"] is None
    assert read["tensors"][0]["chosen"] == "axes 1"
    assert read["tensors"][2]["why"] == "a norm is always kept in full"
