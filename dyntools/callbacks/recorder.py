"""Recorder: measures a model while it trains, without changing the training.

    with Recorder(model, optimizer, metrics="quick", schedule=every(100)) as recorder:
        for step, batch in enumerate(loader, 1):
            …
            recorder.step(step, loss=loss.item())

At a step that is due the live model becomes a snapshot, the one that a checkpoint saved now would
give, and goes through the same `measuring.measure_all` as checkpoints do. Finished measurements are
lines of a journal, sealed into HDF5 at the end. A metric that fails is a row with its reason, and
is left out after three in a row; nothing raised in here reaches the loop.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import torch
from torch import nn
from torch.optim import Optimizer

from dyntools.callbacks.budget import Budget
from dyntools.callbacks.curves import Curves
from dyntools.callbacks.diary import UNIT, Diary
from dyntools.callbacks.early_warnings import EarlyWarnings, Told
from dyntools.callbacks.ending import on_ending
from dyntools.callbacks.neutral import neutral
from dyntools.callbacks.past import Initial, Past
from dyntools.callbacks.requests import Requests
from dyntools.callbacks.schedule import Schedule, every
from dyntools.callbacks.strikes import Strikes
from dyntools.callbacks.unfit import refuse_unfit, speaks
from dyntools.journal import Row
from dyntools.measuring import Advance, measure_all
from dyntools.plan import Task
from dyntools.recipe import NOTHING, Recipe

if TYPE_CHECKING:
    from dyntools.problem import Problem

EVERY = 100  # steps between reports; chosen: those of the SlimAdam authors' trace

Sink = Callable[[int, Mapping[str, float], Sequence[Row]], None]  # step, scalars, rows


class Recorder:
    """Watches `model` and `optimizer`; call `step` once for each step of training.

    metrics: a preset, a list of requests as of `dyntools analyze --metric`, or a mapping from
        requests to schedules of their own.
    schedule: when to measure. path: of the journal; the report lies beside it, with `.h5`.
    budget: the largest share of wall time that measuring may take; 1 for no limit. 0.05, chosen.
    sinks: called with each report, such as those of `dyntools.callbacks.sinks`.
    start: the step at which the model is now, in a training that goes on.
    initial: the weights before training, a checkpoint or a state dict; those of the model now where
        start is 0, else unknown.
    copies: the device on which weights of steps that have passed are kept.
    recipe: what neither the optimizer nor the log tells, such as `Recipe(batch_size=256)`.

    Raises UsageError, here and never later, for a metric or setting that does not exist, and for a
    model whose parameters are cut over processes.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer | None = None,
        *,
        problem: Problem | None = None,
        metrics: str | Sequence[str] | Mapping[str, Schedule] = "quick",
        schedule: Schedule | None = None,
        path: str | Path = "live.jsonl",
        budget: float = 0.05,
        sinks: Sequence[Sink] = (),
        start: int = 0,
        initial: Initial = None,
        copies: torch.device | str = "cpu",
        recipe: Recipe = NOTHING,
    ) -> None:
        refuse_unfit(model)
        self._requests = Requests.of(metrics, schedule or every(EVERY), problem, optimizer)
        self._budget, self._sinks = Budget(budget), list(sinks)
        entries = [task.entry(UNIT) for task, _ in self._requests.tasks.values()]
        self._warnings = EarlyWarnings(entries, UNIT)
        self._strikes, self._curves, self._counted = Strikes(), Curves(), start
        self._device = next((p.device for p in model.parameters()), torch.device("cpu"))
        self._cleanup, self._failed = ExitStack(), False
        self._diary: Diary | None = None
        if not speaks():
            return
        with neutral(self._device), self._budget.taking():
            self._past = Past(
                *(model, optimizer, problem, self._requests),
                start=start,
                initial=initial,
                device=copies,
                recipe=recipe,
            )
        self._diary = Diary(
            Path(path), self._requests, self._past.shapes, budget=budget, recipe=recipe.told
        )
        self._cleanup.callback(self._seal)
        self._cleanup.enter_context(on_ending(self.close))

    @property
    def overhead(self) -> float:
        """The share of wall time that measuring has taken."""
        return self._budget.taken

    def attach(self, optimizer: Optimizer) -> Self:
        """Call `step` after each step of `optimizer`, counted from `start` + 1, until `close`."""

        def after(*_: object) -> None:
            self._counted += 1
            self.step(self._counted)

        self._cleanup.callback(optimizer.register_step_post_hook(after).remove)
        return self

    def on_finding(self, callback: Told) -> Told:
        """Call `callback(finding)` for each new finding, from `step`; also usable as a decorator.

        Once for each rule, and again when it has become more urgent or had gone. What the callback
        raises passes through `step`, so that it may end the training. Only the process that
        measures calls it.
        """
        self._warnings.callbacks.append(callback)
        return callback

    def step(self, step: int, **scalars: float) -> None:
        """Log `scalars`, and measure what is due and affordable at this step.

        To be called in every process of a distributed training; the first one measures.
        """
        self._safely(self._record, step, scalars)
        self._warnings.tell()  # what a callback of the user raises is meant for the loop

    def log(self, step: int, **scalars: float) -> None:
        """Log `scalars` and measure nothing: what is known after `step`, as a validation loss."""
        self._safely(self._logged, step, scalars)

    def close(self) -> None:
        """Seal what there is into HDF5 and remove every hook; nothing more is recorded."""
        self._cleanup.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _safely(
        self,
        act: Callable[[Diary, int, Mapping[str, float]], object],
        step: int,
        scalars: Mapping[str, float],
    ) -> None:
        """What is raised is said once, and recording ends; training is worth more than a report."""
        if self._diary is None or self._failed:
            return
        with self._budget.taking():
            try:
                act(self._diary, step, scalars)
            except Exception as error:
                self._failed = True
                said = f"dyntools records no more: {type(error).__name__}: {error}"
                warnings.warn(said, stacklevel=3)

    def _record(self, diary: Diary, step: int, scalars: Mapping[str, float]) -> None:
        values = self._logged(diary, step, scalars)
        due = [t for t in self._requests.due(step) if t.name not in self._strikes.disabled]
        rows = self._measured(diary, step, due) if due else []
        if said := self._budget.news(step):
            diary.note(said)
        for sink in list(self._sinks) if rows or values else ():
            try:
                sink(step, values, rows)
            except Exception as error:  # a tracker that is away is not worth the journal
                self._sinks.remove(sink)
                diary.note(f"a sink failed and is left out: {type(error).__name__}: {error}")

    def _logged(self, diary: Diary, step: int, scalars: Mapping[str, float]) -> Mapping[str, float]:
        values = {name: float(value) for name, value in scalars.items()}
        if values:
            self._curves.add(step, values)
            diary.scalars(step, values)
        return values

    def _measured(self, diary: Diary, step: int, due: Sequence[Task]) -> list[Row]:
        tasks = {task.name: task for task in due}
        long = {task.name for task in due if "problem" in task.metric.needs}
        rows: list[Row] = []
        self._budget.wait(self._device)
        with neutral(self._device):
            snapshot = log = None
            for names in self._budget.rounds(list(tasks), long):
                if snapshot is None:
                    log = self._curves.log()
                    snapshot = self._past.now(step, log)
                chosen = [tasks[name] for name in names]
                for row in measure_all(snapshot, chosen, told=self._heard, caught=(Exception,)):
                    if not self._budget.paid(row.metric, row.seconds):
                        continue
                    diary.row(row)
                    rows.append(row)
                    if said := self._strikes.judge(row):
                        diary.note(said)
            if snapshot is not None:
                self._past.keep(snapshot)
                self._warnings.take(rows, log)
        return rows

    def _heard(self, advance: Advance) -> None:
        """A product with the Hessian is done; an exception from here is one of the metric."""
        if advance.products:
            self._budget.check(advance.metrics[0])

    def _seal(self) -> None:
        diary, self._diary = self._diary, None
        if diary is None:
            return
        broken = self._warnings.failed.items()
        notes = [
            f"the rule {r} raised and was left out of the early warnings: {e}" for r, e in broken
        ]
        try:
            diary.seal((*self._budget.notes(), *notes))
        except Exception as error:
            if not self._failed:
                warnings.warn(f"dyntools could not seal {diary.path}: {error}", stacklevel=3)
