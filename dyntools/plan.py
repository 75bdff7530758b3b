"""Plan: which metrics will be measured, with which settings, and what stands in the way of others.

A request is a preset or a list like `effective_rank` and `spectral_norm:route=lanczos`. An input
that a metric needs and no checkpoint has is found here, before anything is computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dyntools.errors import UsageError, nearest
from dyntools.metrics import METRICS, PRESETS, find
from dyntools.metrics.metric import Metric, Setting
from dyntools.run import Run, lacks_names, parameters

if TYPE_CHECKING:
    from dyntools.problem import Problem
    from dyntools.problem.second_moments import Estimate
    from dyntools.snapshot import Snapshot

GROUPS = 4  # of the jackknife: the fewest that give its error a spread; chosen

# What to say of an input that is not there, by field of Snapshot.
MISSING = {
    "params": "there is no checkpoint: give a directory that holds some",
    "initial": "the initial weights are not known: give them with --initial CHECKPOINT",
    "previous": "it compares with the checkpoint before, and there is none",
    "final": "it compares with the last checkpoint of the run, and there is no other one",
    "log": "there is no training log: give one with --logs PATH",
    "optimizer": "the checkpoint holds no optimizer state",
    "moments": "the checkpoint holds no optimizer state: estimate its second moments with"
    " --estimate-second-moments 200 and --problem",
    "gradients": "no checkpoint holds the gradients of training: measure live, with a Recorder, or"
    " give the loss with --problem FILE.py:NAME",
    "problem": "the loss of the run is not known: give it with --problem FILE.py:NAME",
    "validation": "there are no validation examples: give them with Problem(…, validation=…), or"
    " with --validation FILE beside a text",
}


@dataclass(frozen=True)
class Task:
    """One metric with its settings."""

    metric: Metric
    settings: Mapping[str, Setting]

    @property
    def name(self) -> str:
        return self.metric.name

    def entry(
        self,
        step_unit: str,
        probe: str = "",
        estimate: Estimate | None = None,
        validation: str = "",
    ) -> dict[str, object]:
        """What the journal and the report say of this metric beside its numbers.

        probe: the examples that a metric with a problem was measured on. estimate: how second
        moments were found where none were saved. validation: the examples held out from training.
        """
        metric = self.metric
        of_probe = {}
        if estimate is not None and "moments" in metric.needs:
            of_probe = {"probe": probe, "second_moments": estimate.sentence}
        elif probe and {"problem", "gradients"} & set(metric.needs):
            of_probe = {"probe": probe}
        if validation and "validation" in metric.needs:
            of_probe["validation"] = validation
        return {
            "metric": metric.name,
            "group": metric.group,
            "version": metric.version,
            "unit": metric.unit.replace("per step", f"per {step_unit}"),
            "what": metric.what,
            "paper": metric.paper,
            "settings": {**self.settings, **of_probe},
            "dims": list(metric.dims),
            "step_unit": step_unit,
        }


@dataclass(frozen=True)
class Plan:
    """The tasks that can be measured, and the metrics that cannot, each with its reason.

    problem: the loss behind the run, for the metrics that need one. estimate: how second moments
    are found at checkpoints that hold none.
    """

    tasks: tuple[Task, ...]
    left_out: Mapping[str, str]
    problem: Problem | None = None
    estimate: Estimate | None = None

    @property
    def of_weights(self) -> tuple[Task, ...]:
        return tuple(task for task in self.tasks if set(task.metric.needs) != {"log"})

    @property
    def of_log(self) -> tuple[Task, ...]:
        return tuple(task for task in self.tasks if set(task.metric.needs) == {"log"})


def parse(request: str) -> Task:
    """`name` or `name:key=value,key=value` as a task. Raises UsageError."""
    name, _, rest = request.partition(":")
    metric = find(name.strip())
    given = {}
    for item in filter(None, rest.split(",")):
        key, equals, value = item.partition("=")
        if not equals:
            raise UsageError(
                f"A setting is written key=value, not {item!r}.",
                remedy=f"--metric {name}:" + ",".join(f"{k}={v}" for k, v in _example(metric)),
            )
        given[key.strip()] = value.strip()
    return Task(metric, metric.settings(given))


def _example(metric: Metric) -> Iterable[tuple[str, Setting]]:
    return list(metric.defaults.items())[:2] or [("key", "value")]


def make_plan(
    run: Run,
    requests: Sequence[str] = (),
    preset: str | None = None,
    problem: Problem | None = None,
    estimate: Estimate | None = None,
) -> Plan:
    """The tasks for a run: what was asked for by name, or else a preset (default: full).

    Raises UsageError when a metric asked for by name lacks its input everywhere, or when nothing
    at all can be measured.
    """
    named = [parse(request) for request in requests]
    wanted = {task.name: task for task in _of_preset(preset, bool(named))}
    wanted |= {task.name: task for task in named}
    left_out = lacking_in(run, list(wanted.values()), problem, estimate)
    refused = [task.name for task in named if task.name in left_out]
    if refused:
        raise UsageError(
            f"{refused[0]} cannot be measured on this run: {left_out[refused[0]]}.", where=run.path
        )
    order = [metric.name for metric in METRICS]
    tasks = [task for name, task in wanted.items() if name not in left_out]
    if not tasks:
        raise UsageError(
            "Nothing can be measured here.",
            where=run.path,
            found="; ".join(dict.fromkeys(left_out.values())),
            remedy="dyntools inspect shows what became of every file",
        )
    ordered = tuple(sorted(tasks, key=lambda task: order.index(task.name)))
    needs = {need for task in ordered for need in task.metric.needs}
    estimate = estimate if "moments" in needs else None
    needed = bool(needs & {"problem", "gradients"}) or estimate is not None
    if not needed and problem is not None and needs & {"optimizer", "moments"}:
        needed = lacks_names(run)  # its model has the order of the parameters
    return Plan(ordered, left_out, problem if needed else None, estimate)


def lacking_in(
    run: Run,
    tasks: Sequence[Task],
    problem: Problem | None = None,
    estimate: Estimate | None = None,
) -> dict[str, str]:
    """The tasks that no step of the run can serve, by name, each with its reason."""
    has = {
        "params": any(parameters(checkpoint)[0] for checkpoint in run.checkpoints),
        "initial": run.initial is not None,
        "previous": len(run.checkpoints) > 1,
        "final": len(run.checkpoints) > 1,
        "log": run.log is not None and bool(run.log.curves),
        "optimizer": any(checkpoint.has_optimizer for checkpoint in run.checkpoints),
        "moments": any(checkpoint.has_optimizer for checkpoint in run.checkpoints)
        or (estimate is not None and problem is not None),
        "gradients": problem is not None,
        "problem": problem is not None,
        "validation": problem is not None and problem.validation is not None,
    }
    missing = {**MISSING, "params": _no_parameters(run), "problem": _no_problem(run)}
    lacks = {task.name: [need for need in task.metric.needs if not has[need]] for task in tasks}
    # The loss first: of several inputs it is the one that a person can always give.
    told = {
        name: "problem" if "problem" in needs else needs[0]
        for name, needs in lacks.items()
        if needs
    }
    return {name: missing[need] for name, need in told.items()}


def _of_preset(preset: str | None, named: bool) -> list[Task]:
    if preset is None:
        if named:
            return []
        preset = "full"
    if preset not in PRESETS:
        raise UsageError(f"There is no preset {preset!r}.", remedy=nearest(preset, PRESETS))
    return [parse(request) for request in PRESETS[preset]]


def _no_parameters(run: Run) -> str:
    if run.checkpoints:
        why = next(iter(run.left_out.values()), "they hold no tensor")
        return f"the checkpoints hold no parameter that can be measured ({why})"
    if run.rows:
        row, count = run.rows[0], len(run.rows)
        return f"none of the {count} checkpoints here can be used ({row.path}: {row.reason})"
    return MISSING["params"]


def _no_problem(run: Run) -> str:
    """The remedy names a problem.py that lies in the run, which is never run unasked."""
    beside = Path(run.path) / "problem.py"
    if beside.is_file():
        return f"{MISSING['problem'].rpartition(' ')[0]} {beside}"
    if any((checkpoint.path / "config.json").is_file() for checkpoint in run.checkpoints):
        return MISSING["problem"] + ", or a text with --text FILE"
    return MISSING["problem"]


def with_sampling_errors(plan: Plan) -> Plan:
    """The plan with a jackknife over examples in every metric that has one and was not told."""
    tasks = [
        replace(task, settings={**task.settings, "groups": GROUPS})
        if task.settings.get("groups") == 0
        else task
        for task in plan.tasks
    ]
    if not any(task.settings.get("groups") for task in tasks):
        raise UsageError(
            "No metric of this analysis has a sampling error.", remedy="--metric hessian_top"
        )
    return replace(plan, tasks=tuple(tasks))


def by_reason(left_out: Mapping[str, str]) -> dict[str, list[str]]:
    """The metrics that are left out, those with one reason together."""
    reasons: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        reasons.setdefault(reason, []).append(name)
    return reasons


def lacking(metric: Metric, snapshot: Snapshot) -> str:
    """Why this one snapshot cannot serve the metric, "" when it can."""
    has = {
        "params": len(snapshot.params) > 0,
        "initial": snapshot.initial is not None,
        "previous": snapshot.previous is not None,
        "final": snapshot.final is not None,
        "log": snapshot.log is not None,
        "optimizer": snapshot.open_optimizer is not None,
        "moments": snapshot.open_optimizer is not None or snapshot.estimate is not None,
        "gradients": snapshot.gradients is not None or snapshot.problem is not None,
        "problem": snapshot.problem is not None,
        "validation": snapshot.problem is not None and snapshot.problem.validation is not None,
    }
    return next((MISSING[need] for need in metric.needs if not has.get(need, False)), "")
