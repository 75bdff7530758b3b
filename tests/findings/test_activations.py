"""The rules on activations together: whole sentences, and silence on trainings that went well.

The numbers of the latter are those that `analyze --preset activations` measures on the committed
fixtures, to a few per cent; but for CKA on digits-cnn, of which `layers_converged` rightly speaks.
"""

from __future__ import annotations

import numpy as np
import pytest

from dyntools.findings import RULES, Severity, find
from dyntools.report import Report
from tests.findings.courses import layers_course, numbers_course, together

STEPS = (0, 100, 200, 500, 1000)
FIRING = {
    "oui_trend": layers_course(
        "oui", {"a": [0.9, 0.9, 0.8, 0.7, 0.6], "b": [0.9] * 5}, steps=STEPS, error=0.001
    ),
    "precision_risk": layers_course(
        "activation_scale", {"a": [1e3], "b": [1.0]}, steps=(9,), largest={"a": [1e5], "b": [200]}
    ),
    "logit_growth": layers_course(
        "attention_logits", {"a": [1.0, 2e3], "b": [1.0, 120.0]}, steps=(0, 9)
    ),
    "logit_drift": numbers_course("output_logits", [2.0, -300.0], steps=(0, 9)),
    "layers_converged": layers_course(
        "cka_to_final",
        {"a": [0.99] * 5, "b": [0.1, 0.2, 0.3, 0.9, 1.0]},
        steps=STEPS,
        error=0.001,
    ),
    "feature_collapse": layers_course(
        "feature_rank", {"a": [40.0, 3.0], "b": [40.0, 2.0]}, steps=(0, 9)
    ),
    "saturated_units": layers_course(
        "dormant_units", {"a": [0.0]}, steps=(9,), saturated={"a": [0.9]}, units={"a": [64.0]}
    ),
    "validation_rise": numbers_course(
        "validation_gap",
        [0.1, 1.5],
        steps=(0, 9),
        validation_loss=[0.5, 1.6],
        validation_error=[0.1, 0.1],
        training_loss=[0.4, 0.1],
    ),
    "terminal_phase": numbers_course(
        "neural_collapse", [0.2, 0.01], steps=(0, 9), error=0.001, accuracy=[1.0, 1.0]
    ),
}


@pytest.mark.parametrize("rule", FIRING)
def test_every_finding_is_whole(rule: str) -> None:
    (found,) = find(FIRING[rule])
    assert found.rule == rule
    for words in (found.sentence, found.meaning, found.remedy, found.caveat):
        assert words.endswith("."), words
        assert "  " not in words
        assert "nan" not in words
    assert any(character.isdigit() for character in found.sentence)
    assert all(found.evidence)
    assert any(register in found.paper for register in ("arXiv", "doi", "PMLR"))
    assert found.step is not None
    series = next(iter(FIRING[rule].series.values()))
    assert set(found.layers) <= set(map(str, series.coords.get("layer", ())))


def test_all_of_them_at_once_are_ordered() -> None:
    every = find(together(*FIRING.values()))
    assert {found.rule for found in every} == set(FIRING)
    severities = [found.severity for found in every]
    assert severities == sorted(severities, key=list(Severity).index)


def test_a_rule_without_numbers_is_silent() -> None:
    for metric in ("oui", "attention_logits", "cka_to_final", "feature_rank", "activation_scale"):
        report = layers_course(metric, {"a": [np.nan] * 5}, steps=STEPS, error=0.1)
        assert [found for rule in RULES for found in rule(report)] == []
    for metric in ("output_logits", "neural_collapse"):
        report = numbers_course(metric, [np.nan] * 5, steps=STEPS, error=0.1)
        assert [found for rule in RULES for found in rule(report)] == []


HEALTHY = {
    "digits-mlp": together(
        layers_course(
            "oui",
            {"1": [0.326, 0.331, 0.353, 0.355, 0.355], "3": [0.347, 0.36, 0.333, 0.325, 0.309]},
            steps=(10, 400, 800, 1400, 3000),
            error={"1": 0.005, "3": 0.014},
        ),
        layers_course(
            "feature_rank",
            {"2": [27.9, 13.7, 18.2], "4": [13.6, 8.03, 10.1]},
            steps=(0, 100, 3000),
            centred={"2": [40.2, 21.9, 26.8], "4": [20.7, 10.8, 13.4]},
            most={"2": [64.0] * 3, "4": [32.0] * 3},
        ),
        numbers_course(
            "output_logits",
            [2.3, 4.64, 11.4],
            steps=(0, 400, 3000),
            norm=[0.37, 11.6, 39.2],
            classes=[10.0] * 3,
            accuracy=[0.08, 0.92, 1.0],
        ),
        numbers_course(
            "neural_collapse",
            [3.75, 1.04, 1.14, 1.25],
            steps=(0, 400, 1400, 3000),
            error=0.17,
            accuracy=[0.08, 0.92, 1.0, 1.0],
        ),
        layers_course(
            "activation_scale",
            {"1": [0.19, 1.2], "4": [0.12, 16.3]},
            steps=(0, 3000),
            largest={"1": [1.0, 4.2], "4": [0.26, 64.5]},
            fp8_e4m3={"1": [0.001, 0.002], "4": [0.006, 0.0]},
        ),
        layers_course(
            "cka_to_final",
            {"0": [0.79, 0.884, 0.971, 0.999, 1.0], "4": [0.17, 0.76, 0.93, 0.994, 1.0]},
            steps=(0, 100, 400, 1400, 3000),
            error=0.005,
        ),
    ),
    "tiny-gpt": together(
        layers_course(
            "oui", {"h.1": [0.097, 0.819, 0.831, 0.841]}, steps=(10, 100, 200, 300), error=0.003
        ),
        layers_course(
            "feature_rank",
            {"h.1.attn.c_proj": [3.91, 4.97, 8.41], "model": [10.5, 7.29, 11.5]},
            steps=(10, 100, 300),
            centred={"h.1.attn.c_proj": [17.0, 6.11, 8.08], "model": [26.5, 7.81, 12.3]},
            most={"h.1.attn.c_proj": [32.0] * 3, "model": [32.0] * 3},
        ),
        numbers_course(
            "output_logits", [4.05, 5.1], steps=(10, 300), norm=[1.6, 15.7], classes=[60.0] * 2
        ),
        layers_course(
            "activation_scale",
            {"wpe": [0.0194, 0.0187], "h.1.mlp.gelu": [0.084, 0.17]},
            steps=(10, 300),
            largest={"wpe": [0.058, 0.065], "h.1.mlp.gelu": [0.336, 1.87]},
            kurtosis={"wpe": [2.7, 3.1], "h.1.mlp.gelu": [2.8, 32.7]},
            fp8_e4m3={"wpe": [0.042, 0.029], "h.1.mlp.gelu": [0.007, 0.008]},
        ),
    ),
    "digits-cnn": together(
        Report({"step_unit": "step", "shapes": {"0": [8, 1, 3, 3], "4": [16, 8, 3, 3]}}),
        layers_course(
            "oui",
            {"2": [0.494, 0.579, 0.575, 0.575, 0.576], "6": [0.302, 0.567, 0.758, 0.829, 0.844]},
            steps=(0, 20, 40, 60, 100),
            error=0.003,
        ),
    ),
}


@pytest.mark.parametrize("run", HEALTHY)
def test_trainings_that_went_well_are_left_alone(run: str) -> None:
    assert find(HEALTHY[run]) == ()
