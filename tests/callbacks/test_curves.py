"""What a loop logged as the log that metrics read: every number once, in the order of steps."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from dyntools.callbacks.curves import Curves
from dyntools.log import Role


def pairs(curves: Curves, name: str) -> list[tuple[int, float]]:
    log = curves.log()
    assert log is not None
    curve = log.curves[name]
    assert curve.wall is not None
    assert len(curve.wall) == len(curve.steps)
    return list(zip(curve.steps.tolist(), curve.values.tolist(), strict=True))


def test_nothing_is_no_log() -> None:
    curves = Curves()
    assert curves.log() is None
    curves.add(1, {})
    assert curves.log() is None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("disorder", [0.0, 0.1, 1.0])
def test_it_is_what_a_dictionary_would_hold(seed: int, disorder: float) -> None:
    """In order, with steps that are told again, and in no order; read at any time between."""
    rng = random.Random(seed)
    curves, truth = Curves(), {}
    for number in range(2000):
        step = rng.randrange(500) if rng.random() < disorder else number
        curves.add(step, {"loss": float(number)})
        truth[step] = float(number)
        if rng.random() < 0.02:
            assert pairs(curves, "loss") == sorted(truth.items())
    assert pairs(curves, "loss") == sorted(truth.items())


def test_curves_of_their_own_lengths_and_values_of_any_kind() -> None:
    curves = Curves()
    curves.add(3, {"loss": math.nan, "lr": 1e-3})
    curves.add(4, {"loss": -math.inf})
    curves.add(-1, {"lr": 5e-324})
    log = curves.log()
    assert log is not None
    np.testing.assert_array_equal(log.curves["loss"].values, [math.nan, -math.inf])
    assert pairs(curves, "lr") == [(-1, 5e-324), (3, 1e-3)]
    assert log.roles == {Role.train_loss: "loss", Role.learning_rate: "lr"}
    assert (log.unit, log.last_step) == ("step", 4)


@pytest.mark.parametrize("later", [[(2, 2.0)], [(1, 9.0)], [(n, 0.0) for n in range(2, 5000)]])
def test_a_log_stays_what_it_was(later: list[tuple[int, float]]) -> None:
    curves = Curves()
    curves.add(1, {"loss": 1.0})
    log = curves.log()
    assert log is not None
    for step, value in later:
        curves.add(step, {"loss": value})
    assert len(pairs(curves, "loss")) == len({1, *(step for step, _ in later)})
    assert log.curves["loss"].steps.tolist() == [1]
    assert log.curves["loss"].values.tolist() == [1.0]
    with pytest.raises(ValueError, match="read-only"):
        log.curves["loss"].values[0] = 0.0


def test_a_log_copies_nothing_that_was_there() -> None:
    """Its arrays lie in the same memory as those of the log before, until that is full."""
    curves = Curves()
    moved = 0
    before = None
    for step in range(20_000):
        curves.add(step, {"loss": 0.0})
        if step % 100 == 0:
            log = curves.log()
            assert log is not None
            values = log.curves["loss"].values
            moved += before is not None and not np.shares_memory(before, values)
            before = values
    assert moved <= math.ceil(math.log(20_000, 1.5))
    assert before is not None
    assert before.base is not None
    assert before.base.nbytes <= 1.5 * 8 * 20_000
