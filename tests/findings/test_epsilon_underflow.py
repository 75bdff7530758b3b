"""Epsilon underflow: what fires, what is only near, and what has no gradients for good reasons."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dyntools.assembly import series_of
from dyntools.findings import Finding, Severity
from dyntools.findings.epsilon_underflow import rule
from dyntools.journal import Row
from dyntools.measuring import measure
from dyntools.metrics import find
from dyntools.plan import Task
from dyntools.report import Report
from tests.findings.reports import layer_report
from tests.metrics.optimizer.adam_states import adam_snapshot, lognormal


def report(**layers: tuple[float, float, float]) -> Report:
    """Of each layer the share below eps, the share that is zero, and the RMS over eps."""
    names = {name.replace("_", "."): numbers for name, numbers in layers.items()}
    return layer_report(
        "epsilon_underflow",
        {name: [0.0, numbers[0]] for name, numbers in names.items()},
        steps=[0, 300],
        zero={name: numbers[1] for name, numbers in names.items()},
        rms_ratio={name: numbers[2] for name, numbers in names.items()},
        eps=dict.fromkeys(names, 1e-8),
    )


def test_half_of_the_weights_below_eps_ask_for_action() -> None:
    (found,) = rule(report(mlp=(0.62, 0.0, 0.4), head=(0.0, 0.0, 5e4)))
    assert found.severity is Severity.act
    assert found.layers == ("mlp",)
    assert found.sentence == (
        "mlp has 62 % of its weights with √v̂ below eps = 1e-08 at step 300; "
        "the RMS of its gradients is 0.4 eps."
    )
    assert "1e-15" in found.remedy
    assert "atan2" in found.remedy


def test_a_tenth_is_to_be_watched_and_the_worst_comes_first() -> None:
    (found,) = rule(report(a=(0.12, 0.0, 400.0), b=(0.3, 0.0, 50.0), c=(0.09, 0.0, 200.0)))
    assert found.severity is Severity.watch
    assert found.layers == ("b", "a")
    assert found.sentence.startswith("2 layers have gradients below eps. b has 30 %")
    assert len(found.evidence) == 2


def test_a_hundredfold_is_an_early_warning() -> None:
    (found,) = rule(report(a=(0.01, 0.0, 99.0), b=(0.05, 0.0, 30.0), c=(0.0, 0.0, 101.0)))
    assert found.severity is Severity.note
    assert found.layers == ("b", "a")
    assert "RMS is 30 eps" in found.sentence
    assert "ours" in found.caveat


def test_both_at_once_are_two_findings() -> None:
    starved, near = rule(report(a=(0.7, 0.0, 0.5), b=(0.0, 0.0, 20.0)))
    assert (starved.layers, near.layers) == (("a",), ("b",))


def test_rows_of_tokens_that_were_never_seen_are_no_finding() -> None:
    """All of them below eps, none of them reached: 60 % zero, the others far above."""
    assert rule(report(wte=(0.6, 0.6, 1e4))) == ()
    assert rule(report(dead=(1.0, 1.0, 0.0))) == ()


def test_among_the_seen_rows_the_share_counts() -> None:
    """0.6 below, 0.5 zero: a fifth of those reached, with an RMS of 30/√0.5."""
    (found,) = rule(report(mlp=(0.6, 0.5, 30.0)))
    assert "20 % of its weights" in found.sentence
    assert found.evidence == (
        "mlp: 20.0 % below eps, RMS 42.4 eps, 50.0 % exactly zero and left out",
    )


def test_rare_tokens_are_worth_no_more_than_a_note() -> None:
    (found,) = rule(report(wte_weight=(0.6, 0.1, 1e3)))
    assert found.severity is Severity.note


def test_the_bias_of_the_keys_is_no_finding() -> None:
    """Softmax does not see it: a third of c_attn.bias of fixtures/runs/tiny-gpt is below eps."""
    assert rule(report(h_0_attn_c_attn_bias=(0.333, 0.0, 6e5), k_proj_bias=(1.0, 0.0, 0.1))) == ()


def test_a_report_that_holds_only_the_share_is_read() -> None:
    bare = layer_report("epsilon_underflow", {"a": [0.6], "b": [0.0]}, steps=[5])
    (found,) = rule(bare)
    assert found.layers == ("a",)
    assert "below eps at step 5" in found.sentence


@pytest.mark.parametrize(("centre", "expected"), [(3e-9, "act"), (1e-7, "note"), (1e-5, "")])
def test_through_the_metric(centre: float, expected: str) -> None:
    """√v̂ lognormal about `centre`, and a fifth of the rows never seen."""
    v = lognormal(4000, 0.5, centre).reshape(200, 20)
    v[:40] = 0.0
    metric = find("epsilon_underflow")
    found = measure(adam_snapshot({"w": v, "0.bias": torch.zeros(3)}), metric)
    row = Row(metric.name, 300, 0.0, found)
    series = series_of(Task(metric, metric.defaults).entry("step"), [row])
    findings: tuple[Finding, ...] = rule(Report({}, {metric.name: series}))
    assert [finding.severity.value for finding in findings] == ([expected] if expected else [])
    for finding in findings:
        assert "20.0 % exactly zero" in finding.evidence[0]


def test_every_sentence_is_whole() -> None:
    for finding in rule(report(a=(0.7, 0.0, 0.5), b=(0.0, 0.0, 20.0))):
        for words in (finding.sentence, finding.meaning, finding.remedy, finding.caveat):
            assert words.endswith(".")
            assert "  " not in words
            assert "nan" not in words
        assert "arXiv" in finding.paper
        assert finding.step == 300


def test_without_numbers_it_is_silent() -> None:
    assert rule(Report()) == ()
    assert rule(layer_report("epsilon_underflow", {"a": [np.nan]}, steps=[5])) == ()
