"""The DoG step against the step that DoG takes, and its error against norms left out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from dyntools.log import Log
from dyntools.measurement import Measurement, Status
from dyntools.metrics.logs.dog_step import measure, summed_squares
from dyntools.metrics.logs.history import History
from dyntools.snapshot import Snapshot, Tensors
from tests.metrics.logs.hand_made import log_of


def at(step: int, log: Log | None = None, **tensors: torch.Tensor) -> Snapshot:
    params = Tensors.of(tensors)
    return Snapshot(step, params, log=None if log is None else log.until(step))


def measured(now: Snapshot, start: Snapshot, previous: Snapshot | None = None) -> Measurement:
    return measure(replace(now, initial=start, previous=previous))


def test_it_is_the_step_that_dog_takes_next() -> None:
    """DoG on a quadratic, written out: distances grow, so the last one is the farthest."""
    scales = np.array([1.0, 3.0, 0.2])
    start = x = np.array([1.0, -2.0, 5.0])
    squares, farthest, norms = 0.0, 1e-3, []
    for _ in range(12):
        gradient = scales * x
        squares += float(gradient @ gradient)
        norms.append(math.sqrt(float(gradient @ gradient)))
        x = x - farthest / math.sqrt(squares) * gradient
        farthest = max(farthest, float(np.linalg.norm(x - start)))
    log = log_of(gradient_norm=(range(1, 13), norms))
    now = at(12, log, a=torch.tensor(x[:2]), b=torch.tensor(x[2:]))
    found = measured(now, at(0, a=torch.tensor(start[:2]), b=torch.tensor(start[2:])))
    assert found.values == pytest.approx(farthest / math.sqrt(squares), rel=1e-12)
    assert found.error == 0  # every norm was logged
    assert found.beside["distance"] == pytest.approx(farthest, rel=1e-12)
    assert found.beside["summed_squares"] == pytest.approx(squares, rel=1e-12)


def test_the_farther_of_two_checkpoints_counts() -> None:
    log = log_of(gradient_norm=([1, 2], [3.0, 4.0]), learning_rate=([1, 2], [0.1, 0.05]))
    start, far = at(0, w=torch.zeros(4)), at(1, w=torch.full((4,), 5.0))
    found = measured(at(2, log, w=torch.ones(4)), start, far)
    assert found.values == pytest.approx(10 / 5)
    assert found.beside["distance"] == 2
    assert found.beside["distance_before"] == 10
    assert found.beside["learning_rate_share"] == pytest.approx(0.05 / 2)


def test_a_norm_stands_for_the_steps_since_the_one_before() -> None:
    total, error = summed_squares(History(np.array([10, 20, 40]), np.array([1.0, 1.0, 2.0])), 0)
    assert total == 10 * 1 + 10 * 1 + 20 * 4
    # Variances 0, (0 + 9/2) / 2 and 9/2; k (k - 1) of each.
    assert error == pytest.approx(math.sqrt(10 * 9 * 9 / 4 + 20 * 19 * 9 / 2))
    resumed, _ = summed_squares(History(np.array([110]), np.array([3.0])), 100)
    assert resumed == 90


@pytest.mark.parametrize("every", [2, 5, 20])
def test_the_error_is_what_leaving_norms_out_does(every: int) -> None:
    generator = np.random.default_rng(every)
    off, errors = [], []
    for _ in range(400):
        norms = np.sqrt(generator.gamma(4.0, size=400)) * np.linspace(2, 1, 400)
        logged = np.arange(every, 401, every)
        total, error = summed_squares(History(logged, norms[logged - 1]), 0)
        off.append(total - np.sum(norms**2))
        errors.append(error)
    # The trend alone moves a sum of 400 by less than one per cent.
    assert np.std(off) == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=0.15)


def test_one_norm_for_many_steps_has_no_known_error() -> None:
    log = log_of(gradient_norm=([50], [2.0]))
    found = measured(at(50, log, w=torch.ones(1)), at(0, w=torch.zeros(1)))
    assert found.values == pytest.approx(1 / math.sqrt(50 * 4))
    assert np.isnan(found.error)


def test_what_cannot_be_measured_says_why() -> None:
    start = at(0, w=torch.zeros(2))
    log = log_of(gradient_norm=([1, 2], [1.0, 1.0]))
    cases = {
        "has moved": at(2, log, w=torch.zeros(2)),
        "not finite": at(2, log, w=torch.full((2,), math.nan)),
        "no finite sum": at(2, log_of(gradient_norm=([1], [0.0])), w=torch.ones(2)),
    }
    for words, now in cases.items():
        found = measured(now, start)
        assert found.status == Status.failed
        assert np.isnan(found.values)
        assert words in found.skipped[""]
    early = measured(at(0, log_of(gradient_norm=([0], [1.0])), w=torch.zeros(2)), start)
    assert "after the start" in early.skipped[""]
    none = measured(at(2, log_of(train_loss=([1], [1.0])), w=torch.ones(2)), start)
    assert "--role gradient_norm" in none.skipped[""]
    epochs = log_of(unit="epoch", gradient_norm=([1, 2], [1.0, 1.0]))
    assert "epochs" in measured(at(2, epochs, w=torch.ones(2)), start).skipped[""]


def test_parameters_that_the_start_does_not_have_are_named() -> None:
    log = log_of(gradient_norm=([1], [1.0]))
    now = at(1, log, w=torch.full((4,), 2.0), new=torch.ones(9), grown=torch.ones(3))
    found = measured(now, at(0, w=torch.zeros(4), grown=torch.ones(2)))
    assert found.values == 4
    assert "no such parameter at step 0" in found.skipped["new"]
    assert "(2,)" in found.skipped["grown"]
