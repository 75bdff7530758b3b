"""The count of checks without improvement against PyTorch's own scheduler."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from dyntools.measurement import Status
from dyntools.metrics.logs.history import History
from dyntools.metrics.logs.plateau import averaged, measure
from tests.metrics.logs.hand_made import log_of, snapshot_of


@pytest.mark.parametrize("seed", range(20))
def test_counts_what_reduce_lr_on_plateau_counts(seed: int) -> None:
    generator = np.random.default_rng(seed)
    values = 1 / np.sqrt(np.arange(1, 80)) + generator.choice(
        [1e-5, 1e-3, 1e-1]
    ) * generator.random(79)
    parameter = torch.nn.Parameter(torch.zeros(()))
    scheduler = ReduceLROnPlateau(torch.optim.SGD([parameter], lr=1.0), patience=10**6)
    for count, value in enumerate(values, start=1):
        scheduler.step(float(value))
        if count > 10:
            log = log_of(validation_loss=(range(count), values[:count]))
            found = measure(snapshot_of(log))
            assert found.values == scheduler.num_bad_epochs
            assert found.beside["best_loss"] == scheduler.best


def test_it_is_a_plateau_when_the_scheduler_would_reduce() -> None:
    values = np.concatenate([[2.0, 1.0], np.full(30, 1.0)])
    parameter = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    scheduler = ReduceLROnPlateau(optimizer)
    for count, value in enumerate(values, start=1):
        scheduler.step(float(value))
        found = measure(snapshot_of(log_of(validation_loss=(range(count), values[:count]))))
        reduced = optimizer.param_groups[0]["lr"] < 1
        assert found.beside["plateaued"] == reduced
        if reduced:
            break
    assert count == 13  # two improvements and eleven bad checks, one more than the patience


def test_improvements_below_the_threshold_do_not_count_but_add_up() -> None:
    """Each is 0.5e-4 below the last; every third is more than 1e-4 below the best."""
    values = (1 - 0.5e-4) ** np.arange(20)
    found = measure(snapshot_of(log_of(validation_loss=(range(20), values))))
    assert found.beside["since_step"] == 18
    assert found.values == 1


def test_training_loss_serves_where_there_is_no_validation() -> None:
    values = np.random.default_rng(0).normal(size=1003) + 5
    found = measure(snapshot_of(log_of(train_loss=(np.arange(1003) * 3, values))))
    assert found.beside["of_validation"] == 0
    assert found.beside["checks"] == 47
    assert "train_loss" in found.method
    groups = [values[13 + 22 * i : 13 + 22 * (i + 1)] for i in range(45)]
    assert averaged(History(np.arange(1003), values), 45).values.shape == (43,)
    assert len(groups[-1]) == 22


def test_averages_end_at_the_last_point_and_leave_out_the_first() -> None:
    curve = averaged(
        History(np.arange(10), np.arange(10.0)), 4
    )  # groups of 3, the first point left
    assert curve.steps.tolist() == [3, 6, 9]
    assert curve.values.tolist() == [2, 5, 8]
    short = History(np.arange(3), np.array([5.0, 6.0, 7.0]))
    assert averaged(short, 50).values.tolist() == [5, 6, 7]


def test_slope_is_relative_to_the_level() -> None:
    steps = np.arange(0, 3000, 100)
    values = 10 - steps * 1e-3
    found = measure(snapshot_of(log_of(validation_loss=(steps, values))))
    assert found.beside["slope"] == pytest.approx(-1e-3, rel=1e-9)
    level = np.median(values[-10:])
    assert found.beside["relative_change"] == pytest.approx(-0.9 / level, rel=1e-9)
    assert found.beside["relative_change_low"] == pytest.approx(-0.9 / level, rel=1e-9)
    assert found.values == 0
    assert found.beside["plateaued"] == 0


def test_too_few_checks_say_so() -> None:
    found = measure(snapshot_of(log_of(validation_loss=(range(10), np.ones(10)))))
    assert found.status == Status.failed
    assert "10 checks; a patience of 10 needs more" in found.skipped[""]
