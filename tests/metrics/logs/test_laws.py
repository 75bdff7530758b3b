"""Laws of every log metric: no look into the future, and an answer to any log."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from dyntools.log import Log
from dyntools.measurement import Measurement, Status
from dyntools.metrics.logs import LOGS
from dyntools.metrics.metric import Metric
from tests.metrics.logs.hand_made import log_of, snapshot_of

ALL = pytest.mark.parametrize("metric", LOGS, ids=lambda metric: metric.name)


def some_log(seed: int, *, future_from: int = 10**9, unit: str = "step") -> Log:
    """Losses, and noise of another seed from a step on."""
    generator = np.random.default_rng(seed)
    steps = np.arange(0, 600, 2)
    checks = np.arange(10, 600, 10)

    def curve(at: np.ndarray, scale: float) -> np.ndarray:
        values = 0.2 + scale / (1 + at / 50) + 0.02 * generator.normal(size=len(at))
        return np.where(at < future_from, values, 100 * generator.random(len(at)))

    return log_of(
        unit=unit,
        train_loss=(steps, curve(steps, 2.0)),
        validation_loss=(checks, curve(checks, 2.2)),
        gradient_norm=(steps, np.abs(curve(steps, 5.0))),
        train_accuracy=(steps, 1.3 - curve(steps, 2.0)),
        validation_accuracy=(checks, 1.3 - curve(checks, 2.2)),
    )


def assert_equal(one: Measurement, two: Measurement) -> None:
    for a, b in ((one.values, two.values), (one.error, two.error), (one.status, two.status)):
        np.testing.assert_array_equal(a, b)
    assert one.beside.keys() == two.beside.keys()
    for name in one.beside:
        np.testing.assert_array_equal(one.beside[name], two.beside[name])
    assert one.skipped == two.skipped
    assert one.method == two.method


@ALL
@pytest.mark.parametrize("step", [0, 9, 10, 250, 399])
def test_a_value_depends_on_the_history_alone(metric: Metric, step: int) -> None:
    past, other = some_log(0), some_log(0, future_from=step + 1)
    assert_equal(metric.measure(snapshot_of(past, step)), metric.measure(snapshot_of(other, step)))


@ALL
def test_measuring_leaves_the_log_as_it_was(metric: Metric) -> None:
    log = some_log(1)
    before = {name: curve.values.copy() for name, curve in log.curves.items()}
    first = metric.measure(snapshot_of(log))
    assert_equal(first, metric.measure(snapshot_of(log)))
    for name, curve in log.curves.items():
        np.testing.assert_array_equal(curve.values, before[name])


@ALL
@pytest.mark.parametrize("log", [None, log_of(), log_of(learning_rate=([1, 2], [1.0, 1.0]))])
def test_a_log_without_its_curves_is_a_skip_with_a_reason(metric: Metric, log: Log | None) -> None:
    found = metric.measure(snapshot_of(log))
    assert (found.status == Status.skipped).all()
    assert np.isnan(found.values).all()
    assert "the log holds no" in found.skipped[""]


@ALL
def test_before_the_first_point_the_step_is_named(metric: Metric) -> None:
    log = log_of(train_loss=([10], [1.0]), validation_loss=([10], [1.0]))
    assert "up to step 5;" in metric.measure(snapshot_of(log, 5)).skipped[""]


@ALL
@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0, 0.0], [np.nan] * 4, [np.inf, 1.0, -np.inf],
                                    [-1.0] * 40, [3e38] * 40, [1e-44] * 40])  # fmt: skip
def test_odd_values_give_a_status_and_never_a_warning(metric: Metric, values: list[float]) -> None:
    steps = range(1, len(values) + 1)
    log = log_of(train_loss=(steps, values), validation_loss=(steps, values))
    found = metric.measure(snapshot_of(log))
    assert (np.isnan(found.values) == (found.status != Status.ok)).all()
    if not found.values.size or (found.status != Status.ok).any():
        assert found.skipped[""]


@ALL
def test_a_log_in_epochs_gives_the_same_numbers(metric: Metric) -> None:
    by_step, by_epoch = some_log(2), some_log(2, unit="epoch")
    assert_equal(metric.measure(snapshot_of(by_step)), metric.measure(snapshot_of(by_epoch)))


@ALL
def test_every_default_is_named_in_the_docstring_with_its_origin(metric: Metric) -> None:
    words = metric.measure.__doc__ or ""
    for setting in metric.defaults:
        assert setting in words
    assert any(word in words for word in ("chosen", "Prechelt", "OLMo", "Power", "defaults of"))


@ALL
def test_the_record_says_what_it_needs(metric: Metric) -> None:
    assert metric.group == "logs"
    assert metric.needs == ("log",)
    assert metric.dims == (("position",) if metric.name == "refined_schedule" else ())
    assert metric.paper


@ALL
def test_losses_near_the_end_of_the_range_warn_of_nothing(metric: Metric) -> None:
    steps = np.arange(100)
    for values in (
        np.where(steps % 7 == 0, 1e308, 1.0),
        np.full(100, 1.7e308),
        np.where(steps % 2 == 0, 1.7e308, -1.7e308),
        1e-308 * steps,
    ):
        log = log_of(train_loss=(steps, values), validation_loss=(steps[::5], values[::5]))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            metric.measure(snapshot_of(log))
