"""Early warnings: told in time, once, and able to end a training; nothing of ours can."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from dyntools.callbacks import Recorder, early_warnings, every
from dyntools.callbacks.early_warnings import KEPT, EarlyWarnings, thinned
from dyntools.findings import Finding, Severity
from dyntools.gathering import read
from dyntools.journal import Row
from dyntools.measurement import per_layer
from dyntools.metrics import find
from dyntools.plan import Task
from dyntools.problem import Problem

METRICS = ("hessian_top:k=1", "divergence")


class StopTraining(Exception):
    """As a loop may have one."""


def rms(step: int, value: float) -> Row:
    beside = {"ceiling": {"w": 31.6}, "size": {"w": 4096.0}}
    return Row("rms_spike", step, 0.0, per_layer({"w": value}, beside=beside))


def warnings_of() -> tuple[EarlyWarnings, list[Finding]]:
    task = Task(find("rms_spike"), {})
    watching, told = EarlyWarnings([task.entry("step")], "step"), list[Finding]()
    watching.callbacks.append(told.append)
    return watching, told


def told_along(values: list[float]) -> list[tuple[int, Severity]]:
    """At which measured step what was told; all within 8 steps of one another or far apart."""
    watching, told = warnings_of()
    found = []
    for i, value in enumerate(values):
        watching.take([rms(i, value)], None)
        watching.tell()
        found += [(i, finding.severity) for finding in told]
        told.clear()
    return found


def test_once_and_again_when_it_rises() -> None:
    assert told_along([1, 1, 3, 1, 1, 3, 1, 3]) == [(2, Severity.watch), (5, Severity.act)]


def test_again_after_it_had_gone() -> None:
    assert told_along([3, *[1] * 9, 3]) == [(0, Severity.watch), (10, Severity.watch)]


def test_again_when_it_rises_after_it_had_sunk() -> None:
    course = told_along([3, 3, *[1] * 6, 1, 1, 3, 3])
    assert course == [(0, Severity.watch), (1, Severity.act), (10, Severity.watch),
                      (11, Severity.act)]  # fmt: skip


def test_many_rows_are_thinned_and_the_first_and_the_last_kept() -> None:
    rows = list[Row]()
    for step in range(10 * KEPT):
        rows = thinned([*rows, rms(step, 1.0)])
        assert len(rows) <= KEPT + 1
    steps = [row.step for row in rows]
    assert steps[0] == 0
    assert steps[-KEPT // 2 :] == list(range(10 * KEPT - KEPT // 2, 10 * KEPT))
    assert steps == sorted(set(steps))


def test_a_rule_that_raises_is_left_out_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(report: object) -> tuple[Finding, ...]:
        raise ZeroDivisionError("of ours")

    broken.__module__ = "dyntools.findings.broken"
    monkeypatch.setattr(early_warnings, "RULES", (broken, *early_warnings.RULES))
    watching, told = warnings_of()
    watching.take([rms(1, 5.0)], None)
    watching.tell()
    assert [finding.rule for finding in told] == ["spike_warning"]
    assert watching.failed == {"broken": "ZeroDivisionError: of ours"}


def network() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    x = torch.randn(64, 10)
    return nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, 1)), x, x[:, :1] * 2


def train(
    folder: Path, rate: float, listen: Callable[[Recorder, torch.optim.Optimizer], None], steps: int
) -> list[float]:
    """Gradient descent on 64 examples; the losses."""
    model, x, y = network()
    sgd = torch.optim.SGD(model.parameters(), lr=rate)
    problem = Problem(model, [(x, y)], lambda z, batch: ((z - batch[1]) ** 2).mean())
    losses = []
    settings = {"metrics": METRICS, "schedule": every(1), "budget": 1.0}
    path = folder / "live.jsonl"
    with Recorder(model, sgd, problem=problem, path=path, **settings) as recorder:
        listen(recorder, sgd)
        for step in range(steps):
            sgd.zero_grad()
            loss = ((model(x) - y) ** 2).mean()
            loss.backward()
            sgd.step()
            losses.append(loss.item())
            recorder.step(step, loss=losses[-1], lr=sgd.param_groups[0]["lr"])
    return losses


def test_the_edge_of_stability_is_told_before_the_loss_diverges(tmp_path: Path) -> None:
    told = []

    def listen(recorder: Recorder, sgd: torch.optim.Optimizer) -> None:
        recorder.on_finding(lambda finding: told.append((finding.rule, finding.step)))

    losses = train(tmp_path, 2.0, listen, 25)
    assert not math.isfinite(losses[-1])
    first_bad = next(i for i, loss in enumerate(losses) if not math.isfinite(loss))
    at = dict(reversed(told))
    assert at["edge_of_stability"] is not None
    assert at["edge_of_stability"] < first_bad - 5
    assert "divergence" in at


def test_a_loop_that_lowers_its_rate_when_told_does_not_diverge(tmp_path: Path) -> None:
    def listen(recorder: Recorder, sgd: torch.optim.Optimizer) -> None:
        @recorder.on_finding
        def lower(finding: Finding) -> None:
            if finding.rule == "edge_of_stability" and finding.severity != Severity.note:
                sgd.param_groups[0]["lr"] /= 10

    losses = train(tmp_path, 1.0, listen, 40)
    assert all(math.isfinite(loss) for loss in losses)
    assert losses[-1] < losses[0]


def test_what_a_callback_raises_ends_the_training_and_the_report_is_there(tmp_path: Path) -> None:
    def listen(recorder: Recorder, sgd: torch.optim.Optimizer) -> None:
        @recorder.on_finding
        def stop(finding: Finding) -> None:
            if finding.severity is Severity.act:
                raise StopTraining(finding.rule)

    with pytest.raises(StopTraining):
        train(tmp_path, 2.0, listen, 25)
    assert "hessian_top" in read(tmp_path / "live.h5").series


def test_nothing_of_ours_passes_through_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(EarlyWarnings, "take", broken)
    with pytest.warns(UserWarning, match="records no more"):
        losses = train(tmp_path, 0.01, lambda recorder, sgd: None, 5)
    assert len(losses) == 5


def test_gradients_of_adam_that_jump_are_told_at_the_step_of_the_jump(tmp_path: Path) -> None:
    """A batch of outliers at step 30; the RMS there, none before, no gradient kept after."""
    model, x, y = network()
    adam = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.9, 0.99))
    told = []
    path, settings = tmp_path / "live.jsonl", {"schedule": every(1), "budget": 1.0}
    with Recorder(model, adam, metrics=["rms_spike"], path=path, **settings) as recorder:
        recorder.on_finding(told.append)
        for step in range(35):
            target = y + 30.0 * (step == 30)
            adam.zero_grad()
            ((model(x) - target) ** 2).mean().backward()
            adam.step()
            recorder.step(step)
    (finding,) = told
    assert (finding.rule, finding.step) == ("spike_warning", 30)
    assert "0.weight" in finding.layers
    series = read(tmp_path / "live.h5")["rms_spike"]
    assert (series.values[:30] < 2.3).all()
    assert set(series.method) == {""}


def test_attached_after_a_step_the_gradients_are_still_there(tmp_path: Path) -> None:
    model, x, y = network()
    adam = torch.optim.Adam(model.parameters())
    path, settings = tmp_path / "live.jsonl", {"schedule": every(1), "budget": 1.0}
    with Recorder(model, adam, metrics=["rms_spike"], path=path, **settings) as recorder:
        recorder.attach(adam)
        for _ in range(3):
            adam.zero_grad()
            ((model(x) - y) ** 2).mean().backward()
            adam.step()
    assert read(tmp_path / "live.h5")["rms_spike"].ok.all()
