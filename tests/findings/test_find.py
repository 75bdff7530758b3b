"""The rules together: what noise triggers, how findings are ordered, what each must say."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from dyntools.findings import RULES, Finding, Severity, find
from dyntools.log import Log
from dyntools.report import Report
from tests.findings.reports import (
    blocks_report,
    layer_report,
    overlap_report,
    report_of_log,
    sharpness_report,
    wandering,
)
from tests.metrics.logs.hand_made import log_of

RUNS = 200


def noise_only(kind: str, seed: int) -> Log:
    """A run in which nothing is wrong: flat or falling to a floor, with nothing else but noise."""
    generator = np.random.default_rng(seed)
    checks = {"eight checks": 8, "five checks": 5}.get(kind, 60)
    noise = {"falling, 2 %": 0.02, "flat, 20 %": 0.2, "wandering, 3 %": 0.03}.get(kind, 0.1)
    at, train_at = np.arange(1, checks + 1) * 50, np.arange(1, checks * 10 + 1) * 5

    def truth(steps: np.ndarray) -> np.ndarray:
        falling = kind.startswith(("falling", "wandering"))
        return 0.5 + 2 * np.exp(-steps / 300) if falling else np.ones(len(steps))

    memory = 0.8 if kind.startswith("wandering") else 0.0
    validation = 1.1 * truth(at) * (1 + noise * wandering(generator, checks, memory))
    train = truth(train_at) * (1 + noise * generator.normal(size=len(train_at)))
    return log_of(train_loss=(train_at, train), validation_loss=(at, validation))


# Found in 200 seeded runs of each kind (overfitting, loss_spikes, divergence); the bound is what a
# true rate of 1 % passes with a probability of 1 in 100: 6 of 200.
@pytest.mark.parametrize(
    "kind",
    [
        "falling, 2 %",  # 1, 0, 0
        "falling, 10 %",  # 0, 0, 0
        "flat, 10 %",  # 0, 0, 0
        "flat, 20 %",  # 0, 0, 0
        "wandering, 3 %",  # 2, 0, 0
        "eight checks",  # 1, 0, 0
        "five checks",  # 1, 0, 0
    ],
)
def test_noise_alone_is_hardly_ever_a_finding(kind: str) -> None:
    found = Counter(
        finding.rule
        for seed in range(RUNS)
        for finding in find(report_of_log(noise_only(kind, seed)))
    )
    assert found["overfitting"] <= 6
    assert found["divergence"] <= 6
    assert found["loss_spikes"] == 0


def test_an_empty_report_has_no_findings() -> None:
    assert find(Report()) == ()
    assert find(report_of_log(log_of())) == ()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__module__.split(".")[-1])
def test_a_rule_without_its_inputs_is_silent(rule: object) -> None:
    assert callable(rule)
    assert rule(Report()) == ()
    assert rule(report_of_log(log_of(train_accuracy=([1, 2], [0.1, 0.2])))) == ()
    for metric in ("layer_rotation", "effective_rank", "weight_norm"):
        bare = layer_report(metric, {"a": [np.nan], "b": [np.nan]}, steps=[5])
        assert rule(bare) == ()


def several() -> tuple[Finding, ...]:
    """A run that overfits, spikes, stops early, and has a stuck layer."""
    generator = np.random.default_rng(0)
    at, checks = np.arange(1, 601) * 5, np.arange(1, 61) * 50
    train = 0.05 + 2 * np.exp(-at / 500) + 0.01 * generator.normal(size=600)
    train[400] += 3
    validation = 0.4 + 2 * np.exp(-checks / 200) + checks * 1e-4
    log = log_of(
        train_loss=(at, train),
        validation_loss=(checks, validation + 0.005 * generator.normal(size=60)),
        learning_rate=(at, 1e-3 * (1 - at / 6000)),
    )
    report = report_of_log(log, checkpoints=(0, 1000, 3000))
    layers = layer_report(
        "layer_rotation", {"a": [0.5], "b": [0.4], "c": [0.45], "d": [0.001]}, steps=[3000]
    )
    return find(
        Report(report.attributes, {**report.series, **layers.series}, report.checkpoints, log)
    )


def test_the_most_severe_come_first() -> None:
    severities = [finding.severity for finding in several()]
    assert severities == sorted(severities, key=list(Severity).index)
    rules = [finding.rule for finding in several()]
    assert rules[0] == "overfitting"
    assert set(rules) == {"overfitting", "unfinished", "layer_stuck", "loss_spikes"}


def test_every_finding_is_whole() -> None:
    for finding in several():
        for words in (finding.sentence, finding.meaning, finding.remedy, finding.caveat):
            assert words.endswith("."), words
            assert "  " not in words
            assert "nan" not in words
        assert any(character.isdigit() for character in finding.sentence)
        assert finding.evidence
        assert all(finding.evidence)
        assert finding.paper
        assert finding.step == 3000


CURVATURE = {
    "edge_of_stability": sharpness_report([20.0, 30.0, 40.0, 60.0], sampling_error=1.0),
    "edge of stability, hovering": sharpness_report([5.0, 20.0, 20.0, 21.0]),
    "progressive_sharpening": sharpness_report([3.0, 5.0, 8.0, 12.0]),
    "learning_rate_headroom": sharpness_report([2.0, 2.0, 2.0]),
    "warmup_too_short": sharpness_report([50.0, 20.0]),
    "negative_curvature": sharpness_report([20.0], smallest=[-15.0]),
    "block_disorder": blocks_report({"attention qk": 1.0, "mlp": 0.5, "norm": 0.1}),
    "stale_curvature": overlap_report([[0.1, 0.2]]),
}


@pytest.mark.parametrize("case", CURVATURE)
def test_every_finding_on_curvature_is_whole(case: str) -> None:
    all_found = find(CURVATURE[case])
    assert case.split(",")[0].replace(" ", "_") in [finding.rule for finding in all_found]
    for finding in all_found:
        for words in (finding.sentence, finding.meaning, finding.remedy, finding.caveat):
            assert words.endswith("."), words
            assert "  " not in words
            assert "nan" not in words
        assert any(character.isdigit() for character in finding.sentence)
        assert finding.evidence
        assert all(finding.evidence)
        assert "arXiv" in finding.paper
        assert finding.step is not None


def test_find_is_repeatable() -> None:
    assert several() == several()
