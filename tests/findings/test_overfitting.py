"""Overfitting: fires on a rise that is real, names the best step, and points at a checkpoint."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dyntools.findings import Finding, Severity
from dyntools.findings.overfitting import rule
from dyntools.log import Log
from dyntools.report import CheckpointRow, Report
from tests.findings.reports import report_of_log
from tests.metrics.logs.hand_made import log_of
from tests.processes import ROOT

DIGITS = ROOT / "fixtures/runs/digits-mlp/log.jsonl"


def overfit_log(
    seed: int, *, checks: int = 60, rise: float = 0.3, noise: float = 0.02, unit: str = "step"
) -> Log:
    """Validation loss is lowest near a third of 3000 steps and rises by `rise` of it to the end."""
    generator = np.random.default_rng(seed)
    share = np.arange(1, checks + 1) / checks
    base = 0.4 + 2 * np.exp(-15 * share) + 0.4 * rise * np.clip((share - 0.33) / 0.67, 0, None)
    at = np.arange(1, checks * 10 + 1) * 3000 // (checks * 10)
    train = (0.05 + 2 * np.exp(-at / 500)) * (1 + 0.05 * generator.normal(size=len(at)))
    return log_of(
        unit=unit,
        train_loss=(at, train),
        validation_loss=(
            (share * 3000).round().astype(int),
            base * (1 + noise * generator.normal(size=checks)),
        ),
    )


def only(found: tuple[Finding, ...]) -> Finding:
    assert len(found) == 1
    return found[0]


# Fired in 200 seeded runs: 200, 199, 200, 200, 188, 195, 200, 193.
@pytest.mark.parametrize(
    ("checks", "noise", "rise", "least"),
    [
        (60, 0.02, 0.3, 195),
        (60, 0.05, 0.3, 195),
        (30, 0.02, 0.3, 195),
        (20, 0.02, 0.3, 195),
        (12, 0.02, 0.3, 180),
        (8, 0.02, 0.5, 190),
        (6, 0.02, 0.5, 195),
        (60, 0.02, 0.1, 185),
    ],
)
def test_power(checks: int, noise: float, rise: float, least: int) -> None:
    logs = (overfit_log(seed, checks=checks, rise=rise, noise=noise) for seed in range(200))
    assert sum(bool(rule(report_of_log(log))) for log in logs) >= least


def test_the_sentence_has_the_best_and_the_last_check() -> None:
    log = log_of(
        train_loss=(range(100, 3100, 100), np.linspace(2, 0.1, 30)),
        validation_loss=(
            range(100, 3100, 100),
            np.concatenate([np.linspace(1, 0.231, 6), np.linspace(0.24, 0.412, 24)]),
        ),
    )
    found = only(rule(report_of_log(log)))
    assert found.severity is Severity.act
    assert found.sentence == (
        "Validation loss was lowest (0.231) at step 600 and is 0.412 at step 3000, 78.4 % higher: "
        "the last 2400 steps overfit."
    )
    assert found.step == 3000
    assert any("GL = 78.4 %" in line for line in found.evidence)
    assert any("training loss meanwhile fell from 1.67 to 0.1" in line for line in found.evidence)


def test_few_checks_are_a_watch_and_one_is_nothing() -> None:
    def log(validation: list[float]) -> Log:
        steps = range(1, len(validation) + 1)
        train = np.linspace(1.0, 0.1, len(validation))
        return log_of(unit="epoch", train_loss=(steps, train), validation_loss=(steps, validation))

    assert rule(report_of_log(log([0.9, 0.7, 0.65, 0.8]), step_unit="epoch")) == ()
    found = only(rule(report_of_log(log([0.9, 0.7, 0.65, 0.8, 1.1]), step_unit="epoch")))
    assert found.severity is Severity.watch
    assert "at epoch 3 and is 1.1 at epoch 5" in found.sentence
    assert "2 checks in a row rose, too few to be sure" in found.sentence
    assert rule(report_of_log(log([0.9, 0.7, 0.65, 1.1, 0.8]), step_unit="epoch")) == ()


def test_an_unbroken_rise_is_a_watch_however_many_checks_it_has() -> None:
    steps = np.arange(10)
    validation = 1 + 2 * (steps / 10 - 0.3) ** 2
    log = log_of(train_loss=(steps, 1 / (1 + steps)), validation_loss=(steps, validation))
    found = only(rule(report_of_log(log)))
    assert found.severity is Severity.watch
    assert "6 checks in a row rose, as they might in a loss that wanders" in found.sentence


def test_a_straight_rise_is_proven() -> None:
    steps = np.arange(1, 31)
    log = log_of(train_loss=(steps, 1 / steps), validation_loss=(steps, 1 + 0.02 * (steps - 1)))
    assert only(rule(report_of_log(log))).severity is Severity.act


def test_a_rise_of_both_losses_is_not_overfitting() -> None:
    log = overfit_log(0)
    steps = log.curves["train_loss"].steps
    both = log_of(
        train_loss=(steps, np.abs(steps - 1000) / 1000 + 0.1),
        validation_loss=(log.curves["validation_loss"].steps, log.curves["validation_loss"].values),
    )
    assert rule(report_of_log(log))
    assert rule(report_of_log(both)) == ()


def test_it_needs_no_training_loss_but_then_the_full_test() -> None:
    log = overfit_log(0)
    curve = log.curves["validation_loss"]
    alone = log_of(validation_loss=(curve.steps, curve.values))
    found = only(rule(report_of_log(alone)))
    assert not any("training loss" in line for line in found.evidence)
    short = log_of(validation_loss=([1, 2, 3, 4], [0.9, 0.5, 0.7, 0.9]))
    assert rule(report_of_log(short)) == ()


def test_a_tiny_but_certain_rise_is_at_most_a_watch() -> None:
    steps = np.arange(1, 61) * 50
    validation = np.where(steps < 1000, 1.5 - steps / 2000, 1 + (steps - 1000) * 1.5e-5)
    log = log_of(train_loss=(steps, 1 / steps), validation_loss=(steps, validation))
    assert only(rule(report_of_log(log))).severity is Severity.watch


def test_a_certain_rise_below_one_percent_is_silent() -> None:
    steps = np.arange(1, 61) * 50
    validation = np.where(steps < 1000, 1.5 - steps / 2000, 1 + (steps - 1000) * 0.4e-5)
    log = log_of(train_loss=(steps, 1 / steps), validation_loss=(steps, validation))
    report = report_of_log(log)
    assert report["generalization_gap"].beside["rise_z"][0] > 2.4
    assert report["generalization_gap"].beside["up"][0] >= 3
    assert rule(report) == ()


def test_one_outlier_at_the_end_is_not_what_severity_rests_on() -> None:
    steps = np.arange(1, 61) * 50
    validation = np.where(steps < 1000, 1.5 - steps / 2000, 1 + (steps - 1000) * 1.5e-5)
    validation[-1] = 2.0
    log = log_of(train_loss=(steps, 1 / steps), validation_loss=(steps, validation))
    assert only(rule(report_of_log(log))).severity is Severity.watch
    falling = 1 + 1 / steps
    falling[-1] = 2.0
    log = log_of(train_loss=(steps, 1 / steps), validation_loss=(steps, falling))
    assert rule(report_of_log(log)) == ()


def test_a_run_that_still_improves_is_silent() -> None:
    steps = np.arange(1, 61) * 50
    log = log_of(train_loss=(steps, 1 / steps), validation_loss=(steps, 1 + 1 / steps))
    assert rule(report_of_log(log)) == ()


def test_the_remedy_names_the_kept_checkpoint_of_the_lowest_loss() -> None:
    log = overfit_log(0)
    best = int(log.curves["validation_loss"].steps[np.argmin(log.curves["validation_loss"].values)])
    near = only(rule(report_of_log(log, checkpoints=(0, 100, best + 20, 3000))))
    assert f"Use checkpoint step-{best + 20}.pt (step {best + 20}, " in near.remedy
    assert f"stop near step {best}" in near.remedy
    # 60 is nearer to the best in steps than 3000, and much worse: still before the descent.
    late = only(rule(report_of_log(log, checkpoints=(0, 60, 3000))))
    assert "No checkpoint better than the last" in late.remedy
    assert "(step-3000.pt)" in late.remedy
    none = only(rule(report_of_log(log)))
    assert f"nearest to step {best}, if one was kept" in none.remedy


def test_damaged_checkpoints_are_never_advised() -> None:
    log = overfit_log(0)
    best = int(log.curves["validation_loss"].steps[np.argmin(log.curves["validation_loss"].values)])
    report = report_of_log(log, checkpoints=(900, 3000))
    rows = (
        CheckpointRow("good-but-torn.pt", "torch", best, "", "damaged", "truncated"),
        CheckpointRow("nowhere.pt", "torch", None, "", "ok"),
        *report.checkpoints,
    )
    found = only(rule(Report(report.attributes, report.series, rows, report.log)))
    assert "step-900.pt" in found.remedy


def test_checkpoints_that_count_something_else_are_not_matched() -> None:
    log = overfit_log(0, unit="epoch")
    found = only(rule(report_of_log(log, checkpoints=(1000, 3000), step_unit="step")))
    assert ".pt" not in found.remedy
    assert "nearest to epoch" in found.remedy


def test_without_the_log_the_nearest_step_is_taken() -> None:
    report = report_of_log(overfit_log(0), checkpoints=(0, 900, 3000))
    found = only(rule(Report(report.attributes, report.series, report.checkpoints)))
    assert "Use checkpoint step-900.pt (step 900), not the last" in found.remedy


def test_accuracy_is_told_where_it_is_logged() -> None:
    log = overfit_log(0)
    curves = {name: (curve.steps, curve.values) for name, curve in log.curves.items()}
    accuracy = (curves["validation_loss"][0], np.linspace(0.5, 0.9, 60))
    found = only(rule(report_of_log(log_of(**curves, validation_accuracy=accuracy))))
    assert any("and is 0.9" in line for line in found.evidence)


def test_the_digits_run_overfits_from_the_step_of_its_lowest_loss() -> None:
    with DIGITS.open() as lines:
        rows = [json.loads(line) for line in lines]
    checks = [(row["val/loss"], row["step"]) for row in rows if "val/loss" in row]
    lowest, best = min(checks)
    last, end = checks[-1]
    kept = (0, 10, 20, 50, 100, 200, 400, 800, 1400, 2200, 3000)
    log = log_of(
        train_loss=([row["step"] for row in rows], [row["train/loss"] for row in rows]),
        validation_loss=([step for _, step in checks], [loss for loss, _ in checks]),
    )
    found = only(rule(report_of_log(log, checkpoints=kept)))
    assert found.severity is Severity.act
    assert f"lowest ({lowest:.3g}) at step {best} and is {last:.3g} at step {end}" in found.sentence
    by_step = {step: loss for loss, step in checks}
    wanted = min((step for step in kept if step in by_step), key=lambda step: by_step[step])
    assert f"Use checkpoint step-{wanted}.pt" in found.remedy
    # Early enough to save most of the run, and not before there is anything to see.
    fired = [at for _, at in checks if rule(report_of_log(log, at=at))]
    assert best < fired[0] < 2 * best
    assert [at for _, at in checks if at >= 2 * best] == [at for at in fired if at >= 2 * best]
