"""The recorder: strikes, a full disk, attach, the past it keeps, memory, refusals."""

from __future__ import annotations

import gc
import itertools
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dyntools import Problem, read_report
from dyntools.callbacks import Recorder, every
from dyntools.callbacks import requests as requests_module
from dyntools.callbacks.unfit import refuse_unfit
from dyntools.errors import ReportError, UsageError
from dyntools.gathering import report_of_journal
from dyntools.journal import Journal
from dyntools.metrics import find
from dyntools.plan import Task
from dyntools.recipe import Recipe
from dyntools.snapshot import Snapshot


def parts() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Linear(6, 4)
    return model, torch.optim.AdamW(model.parameters(), lr=0.1)


def stepped(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    model(torch.ones(2, 6)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def opened(path: Path, metrics: Any = ("weight_norm",), **settings: Any) -> Recorder:
    model, optimizer = settings.pop("parts", None) or parts()
    settings = {"schedule": every(1), "budget": 1.0, "path": path / "live.jsonl"} | settings
    return Recorder(model, optimizer, metrics=list(metrics), **settings)


@pytest.mark.parametrize("error", [KeyError("x"), torch.OutOfMemoryError("much")])
def test_three_failures_in_a_row_and_out(
    error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    metric = replace(find("weight_norm"), measure=fails)
    monkeypatch.setattr(requests_module, "parse", lambda name: Task(metric, {}))
    with opened(tmp_path) as recorder:
        for step in range(1, 7):
            recorder.step(step)
    report = read_report(tmp_path / "live.h5")
    assert report.series["weight_norm"].steps.tolist() == [1, 2, 3]
    assert not report.series["weight_norm"].ok.any()
    assert any("left out from step 3 on" in note for note in report.notes)


def test_a_full_disk_warns_once_and_never_raises(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recorder = opened(tmp_path)
    recorder.step(1)

    def full(*_: object, **__: object) -> None:
        raise ReportError("No space left.")

    monkeypatch.setattr(Journal, "write", full)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for step in range(2, 9):
            recorder.step(step, loss=1.0)
        recorder.close()
    assert len(said) == 1
    assert "records no more" in str(said[0].message)
    assert read_report(tmp_path / "live.h5").series["weight_norm"].steps.tolist() == [1]


def test_closing_twice_and_using_after_closing(tmp_path: Path) -> None:
    recorder = opened(tmp_path)
    recorder.step(1)
    recorder.close()
    recorder.close()
    recorder.step(2, loss=1.0)
    assert read_report(tmp_path / "live.h5").series["weight_norm"].steps.tolist() == [1]


def test_a_second_recorder_sets_the_first_journal_aside(tmp_path: Path) -> None:
    for _ in range(3):
        opened(tmp_path).close()
    assert {p.name for p in tmp_path.glob("*.jsonl")} == {
        "live.jsonl",
        "live-1.jsonl",
        "live-2.jsonl",
    }


def test_a_sink_that_fails_is_left_out(tmp_path: Path) -> None:
    def away(*_: object) -> None:
        raise ConnectionError("away")

    with opened(tmp_path, sinks=[away]) as recorder:
        recorder.step(1)
        recorder.step(2)
    report = read_report(tmp_path / "live.h5")
    assert report.series["weight_norm"].steps.tolist() == [1, 2]
    assert sum("ConnectionError" in note for note in report.notes) == 1


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.LBFGS])
def test_attached_it_counts_steps_and_leaves_no_hook(kind: Any, tmp_path: Path) -> None:
    model = nn.Linear(6, 4)
    optimizer = kind(model.parameters(), lr=0.01)
    plan = torch.optim.lr_scheduler.StepLR(optimizer, 2)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = model(torch.ones(2, 6)).square().sum()
        loss.backward()
        return loss

    with opened(tmp_path, parts=(model, optimizer), start=10).attach(optimizer):
        for _ in range(3):
            optimizer.step(closure)
            plan.step()
    assert not optimizer._optimizer_step_post_hooks
    report = read_report(tmp_path / "live.h5")
    assert report.series["weight_norm"].steps.tolist() == [11, 12, 13]


def test_initial_weights_are_those_given_or_unknown(tmp_path: Path) -> None:
    model, optimizer = parts()
    first = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.save({"model": first}, tmp_path / "first.pt")
    stepped(model, optimizer)
    found = []
    for i, initial in enumerate((first, tmp_path / "first.pt", None)):
        place = tmp_path / str(i)
        with opened(
            place, ["layer_rotation"], parts=(model, optimizer), start=5, initial=initial
        ) as recorder:
            recorder.step(6)
        found.append(read_report(place / "live.h5").series["layer_rotation"])
    assert found[0].ok.any()
    assert found[0].values.tobytes() == found[1].values.tobytes()
    assert not found[2].ok.any()
    with pytest.raises(UsageError, match="another model"):
        opened(tmp_path, initial={"weight": torch.zeros(2, 2)})


def test_moments_of_the_step_before_are_not_those_of_now(tmp_path: Path) -> None:
    model, optimizer = parts()
    with opened(tmp_path, ["second_moment_drift"], parts=(model, optimizer)) as recorder:
        for step in (1, 2, 3):
            stepped(model, optimizer)
            recorder.step(step)
    series = read_report(tmp_path / "live.h5").series["second_moment_drift"]
    assert (series.values[1:] > 0).all()


def test_what_has_passed_is_freed(tmp_path: Path) -> None:
    model, optimizer = parts()
    metrics = ["relative_update", "layer_rotation", "effective_rank", "second_moment_drift"]
    counts = []
    with opened(tmp_path, metrics, parts=(model, optimizer)) as recorder:
        for step in range(1, 41):
            stepped(model, optimizer)
            recorder.step(step)
            if step in (10, 40):
                gc.collect()
                counts.append(
                    sum(issubclass(type(o), torch.Tensor | Snapshot) for o in gc.get_objects())
                )
    assert counts[0] == counts[1]


def test_what_there_is_no_time_for_is_in_the_journal_at_once(tmp_path: Path) -> None:
    """A process that is killed says no more."""
    with opened(tmp_path, budget=1e-9) as recorder:
        for step in (1, 2, 3):
            recorder.step(step)
        (note,) = report_of_journal(tmp_path / "live.jsonl").notes
    assert note.startswith("step 2 has no time within 1e-07 % of wall time for weight_norm (")
    report = read_report(tmp_path / "live.h5")
    assert report.series["weight_norm"].steps.tolist() == [1]
    assert report.notes[1].startswith("left out 2 times")
    assert report.notes[2].startswith("prices: weight_norm ")


def test_what_is_broken_off_is_no_row_and_no_strike(tmp_path: Path) -> None:
    """On a clock that ticks whenever it is asked: after some products there is no room left."""
    model, optimizer = parts()
    batch = torch.ones(3, 6), torch.tensor([0, 1, 2])
    problem = Problem(nn.Linear(6, 4), [batch], lambda z, b: nn.functional.cross_entropy(z, b[1]))
    ticks = itertools.count(1.0)
    with opened(
        tmp_path, ["hessian_top"], parts=(model, optimizer), problem=problem, budget=0.5
    ) as recorder:
        budget = recorder._budget
        budget.clock = lambda: next(ticks)
        for step in (1, 2, 3, 4):
            budget.started, budget.spent = next(ticks), -2.0
            budget.costs.clear()
            budget.unfinished.clear()
            recorder.step(step)
            assert budget.unfinished == {"hessian_top"}
        budget.spent = -1e9
        recorder.step(5)
        assert budget.unfinished == set()
    report = read_report(tmp_path / "live.h5")
    assert report.series["hessian_top"].steps.tolist() == [5]
    assert report.series["hessian_top"].ok.all()
    assert not any("it raised" in note for note in report.notes)


def test_a_recipe_reaches_the_metrics_and_the_report(tmp_path: Path) -> None:
    """The timescale of AdamW is 1/(ηλ): 100 with the decay that is told."""
    told = Recipe(weight_decay=0.1)
    with opened(tmp_path, ["hyperparameters"], recipe=told) as recorder:
        for step in range(1, 3):
            recorder.step(step, loss=1.0, lr=0.1)
    report = read_report(tmp_path / "live.h5")
    assert report.attributes["recipe"] == {"weight_decay": 0.1}
    series = report["hyperparameters"]
    column = [str(name) for name in series.coords["law"]].index("timescale_steps")
    assert series.values[-1, column] == pytest.approx(100.0)


def test_parameters_that_are_cut_are_refused() -> None:
    class FullyShardedDataParallel(nn.Module): ...

    with pytest.raises(UsageError, match="cut over processes"):
        refuse_unfit(nn.Sequential(nn.Linear(2, 2), FullyShardedDataParallel()))
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    refuse_unfit(model)
    model[1].bias.ds_id = 3  # not the first one
    with pytest.raises(UsageError, match=r"1\.bias"):
        refuse_unfit(model)
