"""A metric says the same whatever was measured before it on the snapshot, and also after a failure.

What metrics share (a risk, spectra, statistics of gradients, one pass for all activations) is
computed by the first that asks. Nothing of that may depend on which one it was, and one that ends
half-way may leave nothing behind: no hook, no mode, no sum half made.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from dyntools.errors import ProblemError
from dyntools.measurement import Measurement, Status
from dyntools.measuring import measure, measure_all
from dyntools.metrics import METRICS, find
from dyntools.metrics.activations import ACTIVATIONS
from dyntools.metrics.gradients import GRADIENTS
from dyntools.metrics.metric import Metric
from dyntools.plan import Task
from dyntools.problem.evaluation import Evaluation
from dyntools.snapshot import Snapshot
from tests.metrics.test_contract import (
    assert_same_bits,
    every_metric,
    make_snapshot,
    measured,
    problem,
)

of_data = pytest.mark.parametrize("metric", [*GRADIENTS, *ACTIVATIONS], ids=lambda m: m.name)


@functools.cache
def backwards() -> dict[str, Measurement]:
    """Every metric on one snapshot, the last one first."""
    tasks = [Task(metric, metric.defaults) for metric in reversed(METRICS)]
    return {row.metric: row.measurement for row in measure_all(make_snapshot(), tasks)}


@every_metric
def test_the_last_one_first_and_the_bits_are_the_same(metric: Metric) -> None:
    assert_same_bits(backwards()[metric.name], measured(metric.name))


@of_data
def test_measured_twice_in_a_row_the_bits_are_the_same(metric: Metric) -> None:
    """The second time from what the first has left, after the snapshot was released."""
    snapshot = make_snapshot()
    for _ in range(2):
        assert_same_bits(measure(snapshot, metric), measured(metric.name))


def after(broken: Metric, metric: Metric, snapshot: Snapshot) -> tuple[Measurement, Measurement]:
    """Both on one snapshot, `broken` first; live, so that any exception is a row."""
    broken = replace(broken, name="broken")
    tasks = [Task(one, one.defaults) for one in (broken, metric)]
    first, second = measure_all(snapshot, tasks, caught=(Exception,))
    return first.measurement, second.measurement


def raising(error: Exception) -> Callable[..., Measurement]:
    """A metric that has shared all there is to share, and then fails in its own mathematics."""

    def measure(snapshot: Snapshot) -> Measurement:
        for one in (*GRADIENTS, *ACTIVATIONS):
            if not one.layerwise:
                one.measure(snapshot, **one.defaults)
        raise error

    return measure


@of_data
@pytest.mark.parametrize(
    "error", [ProblemError("no"), ZeroDivisionError("no")], ids=lambda e: type(e).__name__
)
def test_after_one_that_failed_by_itself_the_bits_are_the_same(
    error: Exception, metric: Metric
) -> None:
    broken = replace(find("noise_scale"), measure=raising(error))
    first, second = after(broken, metric, make_snapshot())
    assert not (first.status == Status.ok).any()
    assert_same_bits(second, measured(metric.name))


def breaks_off(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[int]:
    """The second batch that the model is called with fails, once; the calls so far, as a list."""
    calls, outputs = [0], Evaluation.outputs

    def called(self: Evaluation, batch: Any) -> Any:
        calls[0] += 1
        if calls[0] == 2:
            outputs(self, batch)  # hooks have been told of it
            raise error
        return outputs(self, batch)

    monkeypatch.setattr(Evaluation, "outputs", called)
    return calls


def shares(metric: Metric, first: Metric) -> bool:
    """Whether both need the pass that `first` makes over the examples."""
    return metric.group == first.group and "problem" in metric.needs


@of_data
@pytest.mark.parametrize("first", ["noise_scale", "oui"])
@pytest.mark.parametrize(
    "error", [ValueError("no"), torch.OutOfMemoryError("no")], ids=lambda e: type(e).__name__
)
def test_after_a_pass_that_broke_off_it_says_the_same_or_why_not(
    error: Exception, first: str, metric: Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The half of the sums that was made is in no number: the pass is made anew, or refused."""
    for one in ("noise_scale", "oui"):
        measured(one)  # what is found out once for a problem is
    snapshot = make_snapshot()
    snapshot.risk()
    calls = breaks_off(monkeypatch, error)
    failed, found = after(find(first), metric, snapshot)
    assert calls[0] >= 2
    assert not (failed.status == Status.ok).any()
    assert failed.skipped
    if not (shares(metric, find(first)) and found.skipped == failed.skipped):
        assert_same_bits(found, measured(metric.name))
    hooks = [(m._forward_hooks, m._forward_pre_hooks) for m in problem().model.modules()]
    assert not any(map(any, hooks))
    assert not torch.overrides._get_current_function_mode_stack()
    assert torch.get_num_threads() == 1
