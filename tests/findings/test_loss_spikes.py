"""Loss spikes: counted, located, and silent where the loss lies at zero."""

from __future__ import annotations

import numpy as np

from dyntools.findings import Severity
from dyntools.findings.loss_spikes import rule
from tests.findings.reports import report_of_log
from tests.metrics.logs.hand_made import log_of


def language_loss(seed: int = 0, count: int = 2000) -> np.ndarray:
    steps = np.arange(1, count + 1)
    return 2.5 + 8 * np.exp(-steps / 100) + 0.03 * np.random.default_rng(seed).normal(size=count)


def test_one_spike_is_a_note() -> None:
    values = language_loss()
    values[1500] += 1.5
    (found,) = rule(report_of_log(log_of(train_loss=(range(2000), values))))
    assert found.severity is Severity.note
    assert "spiked once, at step 1500: 4" in found.sentence
    assert "499 steps before the end" in found.meaning


def test_spikes_that_recur_are_a_watch() -> None:
    values = language_loss()
    values[[800, 1200, 1500]] += [1.0, 2.0, 1.0]
    log = log_of(train_loss=(range(2000), values), gradient_norm=(range(2000), 0.01 * values))
    (found,) = rule(report_of_log(log))
    assert found.severity is Severity.watch
    assert "spiked 3 times, highest at step 1200" in found.sentence
    assert any("gradient norm" in line for line in found.evidence)


def test_power_on_small_spikes() -> None:
    """A rise by 0.4 nats, 13 standard deviations: found in all of 200 runs."""
    fired = 0
    for seed in range(200):
        values = language_loss(seed)
        values[1700] += 0.4
        fired += bool(rule(report_of_log(log_of(train_loss=(range(2000), values)))))
    assert fired == 200


def test_a_clean_log_is_silent() -> None:
    for seed in range(200):
        assert rule(report_of_log(log_of(train_loss=(range(2000), language_loss(seed))))) == ()


def test_downward_jumps_are_silent() -> None:
    values = language_loss()
    values[1500:] -= 1  # the learning rate was lowered
    assert rule(report_of_log(log_of(train_loss=(range(2000), values)))) == ()


def test_a_loss_at_zero_that_shows_a_little_is_silent() -> None:
    values = language_loss() - 2.5
    values[1000:] = 1e-4 * np.random.default_rng(0).random(1000)
    values[1800] = 0.01
    report = report_of_log(log_of(train_loss=(range(2000), values)))
    assert report["loss_spikes"].beside["count"][0] >= 1
    assert rule(report) == ()
