"""The gap and Prechelt's criteria against plain loops over the log."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dyntools.log import Log
from dyntools.measurement import Status
from dyntools.metrics.logs.generalization_gap import measure, stopping, train_between
from dyntools.metrics.logs.history import History
from dyntools.metrics.logs.trend import mann_kendall
from tests.metrics.logs.hand_made import log_of, snapshot_of


def random_log(seed: int) -> Log:
    generator = np.random.default_rng(seed)
    train = np.cumsum(generator.integers(1, 4, 200))
    checks = np.sort(generator.choice(np.arange(2, train[-1]), 37, replace=False))
    return log_of(
        train_loss=(train, 1 / np.sqrt(train) + 0.1 * generator.random(200)),
        validation_loss=(checks, 1 + generator.random(37)),
    )


def slow(log: Log, strip: int, window: int) -> dict[str, float]:
    """Everything again, point by point, as the docstring of the module has it."""
    train, validation = log.curves["train_loss"], log.curves["validation_loss"]
    points = [(s, x) for s, x in zip(train.steps, train.values, strict=True)]
    checks = [(s, x) for s, x in zip(validation.steps, validation.values, strict=True)]
    means, errors, previous = [], [], -1
    for step, _ in checks:
        inside = [x for s, x in points if previous < s <= step]
        if not inside:
            inside = [[x for s, x in points if s <= step][-1]]
        mean = sum(inside) / len(inside)
        means.append(mean)
        squares = sum((x - mean) ** 2 for x in inside)
        n = len(inside)
        errors.append(math.sqrt(squares / (n - 1) / n) if n > 1 else math.nan)
        previous = step
    losses = [x for _, x in checks]
    best = losses.index(min(losses))
    gl = 100 * (losses[-1] / losses[best] - 1)
    last = means[-strip:]
    progress = 1000 * (sum(last) / (strip * min(last)) - 1)
    up, t = 0, len(losses) - 1
    while t - strip >= 0 and losses[t] > losses[t - strip]:
        up, t = up + 1, t - strip
    gaps = [(s, x - m) for (s, x), m in zip(checks, means, strict=True)][-window:]
    slopes = [(b - a) / (s - r) for i, (r, a) in enumerate(gaps) for s, b in gaps[i + 1 :]]
    in_a_row = 0
    while in_a_row < len(losses) - 1 and losses[-1 - in_a_row] > losses[-2 - in_a_row]:
        in_a_row += 1
    return {
        "rises_in_a_row": in_a_row,
        "rise_z": mann_kendall(np.array(losses[best + 1 :])),
        "value": losses[-1] - means[-1],
        "error": errors[-1],
        "train_loss": means[-1],
        "validation_loss": losses[-1],
        "validation_step": checks[-1][0],
        "checks": len(checks),
        "best_step": checks[best][0],
        "best_validation_loss": losses[best],
        "train_loss_at_best": means[best],
        "loss_above_best": losses[-1] - losses[best],
        "steps_past_best": checks[-1][0] - checks[best][0],
        "checks_past_best": len(checks) - 1 - best,
        "gl": gl,
        "gl_recent": 100 * (sorted(losses[-3:])[1] / losses[best] - 1),
        "progress": progress,
        "pq": gl / progress,
        "up": up,
        "slope": float(np.median(slopes)),
    }


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("strip", "window"), [(5, 10), (2, 6)])
def test_all_companions_against_plain_loops(seed: int, strip: int, window: int) -> None:
    log = random_log(seed)
    found = measure(snapshot_of(log, int(log.last_step or 0)), strip=strip, window=window)
    expected = slow(log, strip, window)
    assert found.values == pytest.approx(expected.pop("value"), rel=1e-9)
    assert found.error == pytest.approx(expected.pop("error"), rel=1e-9, nan_ok=True)
    for name, number in expected.items():
        assert found.beside[name] == pytest.approx(number, rel=1e-9, nan_ok=True), name
    assert found.status == Status.ok
    assert not found.skipped


def test_the_worked_example_of_the_docstring() -> None:
    validation = np.array([1, 0.8, 0.6, 0.5, 0.55, 0.6])
    train = np.array([1, 0.8, 0.6, 0.4, 0.3, 0.2])
    found = stopping(train, validation, 2)
    assert found.best == 3
    assert found.gl == pytest.approx(20, rel=1e-12)
    assert found.gl_recent == pytest.approx(10, rel=1e-12)  # the median of 0.5, 0.55, 0.6
    assert found.progress == pytest.approx(250, rel=1e-12)
    assert found.pq == pytest.approx(0.08, rel=1e-12)
    assert found.up == 1


def test_strips_up_counts_only_the_last_unbroken_row() -> None:
    rising = np.arange(1.0, 22.0)
    assert stopping(rising, rising, 5).up == 4
    dip = rising.copy()
    dip[10] = 0.5  # the end of a strip: the two strips behind it rose, the one before fell
    assert stopping(rising, dip, 5).up == 2
    assert stopping(rising, -rising + 30, 5).up == 0
    assert math.isnan(stopping(rising[:5], rising[:5], 5).up)


def test_training_loss_of_a_check_is_the_mean_since_the_check_before() -> None:
    train = History(np.array([1, 2, 3, 4, 5, 6]), np.array([10.0, 20.0, 30.0, 40.0, 50.0, 90.0]))
    means, errors = train_between(train, np.array([0, 2, 3, 5, 5]))
    assert np.isnan(means[0])  # nothing was logged before
    assert means[1:4].tolist() == [15, 30, 45]
    assert errors[1] == pytest.approx(5)  # sd 7.07 / sqrt 2
    assert np.isnan(errors[2])  # a single point has no scatter
    sparse = train_between(History(np.array([2]), np.array([7.0])), np.array([3, 8]))
    assert sparse[0].tolist() == [7, 7]  # the last one known
    assert np.isnan(train_between(History(np.array([]), np.array([])), np.array([3]))[0]).all()


def test_without_validation_the_sentence_says_what_to_supply() -> None:
    log = log_of(train_loss=([1, 2], [1.0, 0.5]))
    found = measure(snapshot_of(log))
    assert found.status == Status.skipped
    assert "no validation loss up to step 2" in found.skipped[""]
    assert "--logs" in found.skipped[""]
    assert "--role validation_loss=" in found.skipped[""]


def test_without_training_loss_prechelt_still_has_its_say() -> None:
    log = log_of(validation_loss=([1, 2, 3], [1.0, 0.5, 0.75]))
    found = measure(snapshot_of(log))
    assert found.status == Status.skipped
    assert np.isnan(found.values)
    assert "no training loss" in found.skipped[""]
    assert found.beside["gl"] == pytest.approx(50)
    assert np.isnan(found.beside["train_loss"])


def test_gl_is_undefined_for_a_loss_that_is_not_positive() -> None:
    log = log_of(
        train_loss=(range(1, 7), [1.0] * 6), validation_loss=(range(1, 7), [1, 0, -1, -2, -1, 0])
    )
    found = measure(snapshot_of(log))
    assert found.status == Status.ok
    assert np.isnan(found.beside["gl"])
    assert np.isnan(found.beside["pq"])
    assert "-2" in found.skipped["gl"]
    assert found.beside["loss_above_best"] == 2
    assert found.beside["pq"].shape == ()


def test_one_check_gives_a_gap_and_nothing_that_one_point_cannot_tell() -> None:
    log = log_of(train_loss=([1, 2, 3], [3.0, 2.0, 1.0]), validation_loss=([3], [2.5]))
    found = measure(snapshot_of(log))
    assert found.values == 0.5
    assert found.error == pytest.approx(1 / math.sqrt(3))
    for name in ("up", "progress", "pq", "slope", "slope_low", "rise_z"):
        assert np.isnan(found.beside[name]), name
    assert found.beside["gl"] == 0
    assert found.beside["checks_past_best"] == 0


def test_values_that_are_not_finite_are_no_checks() -> None:
    values = [1.0, np.nan, 0.5, np.inf]
    log = log_of(train_loss=([1, 2, 3, 4], [1.0, np.nan, 3.0, 4.0]),
                 validation_loss=([1, 2, 3, 4], values))  # fmt: skip
    found = measure(snapshot_of(log))
    assert found.beside["checks"] == 2
    assert found.beside["validation_step"] == 3
    assert found.values == 0.5 - 3


def test_the_first_of_equal_minima_is_the_best() -> None:
    log = log_of(validation_loss=([1, 2, 3, 4], [1.0, 0.5, 0.5, 0.5]))
    assert measure(snapshot_of(log)).beside["best_step"] == 2


def test_slope_of_a_gap_that_opens_evenly() -> None:
    steps = np.arange(100, 2100, 100)
    log = log_of(train_loss=(steps, 1 - steps * 1e-4), validation_loss=(steps, 1 + steps * 2e-4))
    found = measure(snapshot_of(log))
    for name in ("slope", "slope_low", "slope_high"):
        assert found.beside[name] == pytest.approx(3e-4, rel=1e-9)
    assert found.beside["smallest_detectable_slope"] == pytest.approx(0, abs=1e-12)
