"""Requests: which metrics a recorder measures, each with its settings and its schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dyntools.callbacks.schedule import Schedule
from dyntools.errors import UsageError, nearest
from dyntools.metrics import PRESETS
from dyntools.plan import Task, parse

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from dyntools.problem import Problem


@dataclass(frozen=True)
class Requests:
    """Tasks with their schedules. left_out: metrics of a preset that lack an input, and why."""

    tasks: Mapping[str, tuple[Task, Schedule]]
    left_out: Mapping[str, str]

    @classmethod
    def of(
        cls,
        metrics: str | Sequence[str] | Mapping[str, Schedule],
        schedule: Schedule,
        problem: Problem | None,
        optimizer: Optimizer | None,
    ) -> Requests:
        """Raises UsageError for what does not exist, or was named and cannot be measured."""
        preset = isinstance(metrics, str)
        if isinstance(metrics, str):
            if metrics not in PRESETS:
                raise UsageError(
                    f"There is no preset {metrics!r}.", remedy=nearest(metrics, PRESETS)
                )
            metrics = PRESETS[metrics]
        own = metrics if isinstance(metrics, Mapping) else {}
        tasks, left_out = {}, {}
        for request in metrics:
            task = parse(request)
            lacks = _lacking(task, problem, optimizer)
            if lacks and not preset:
                raise UsageError(f"{task.name} cannot be measured: {lacks}.")
            if lacks:
                left_out[task.name] = lacks
            else:
                tasks[task.name] = task, own.get(request, schedule)
        return cls(tasks, left_out)

    def due(self, step: int) -> list[Task]:
        """What is to be measured at a step."""
        return [task for task, schedule in self.tasks.values() if schedule(step)]

    def need(self, field: str) -> bool:
        """Whether any metric looks at this field of a snapshot; `previous moments`: both in one."""
        needs = ({*task.metric.needs, *task.metric.uses} for task, _ in self.tasks.values())
        return any(set(field.split()) <= own for own in needs)


def _lacking(task: Task, problem: Problem | None, optimizer: Optimizer | None) -> str:
    has = {"problem": problem is not None, "optimizer": optimizer is not None}
    has["moments"] = has["optimizer"]
    has["final"] = False
    has["validation"] = problem is not None and problem.validation is not None
    none = "there is no optimizer: Recorder(model, optimizer), or RecorderCallback(optimizer=0)"
    live = {
        "problem": "the loss of the run is not known: Recorder(…, problem=…)",
        "final": "it compares with the last step, and the training still goes on: save checkpoints"
        " and `dyntools analyze` them",
        "validation": "there are no validation examples: Problem(…, validation=…)",
        "optimizer": none,
        "moments": none,
    }
    return next((live[n] for n in task.metric.needs if not has.get(n, True)), "")
