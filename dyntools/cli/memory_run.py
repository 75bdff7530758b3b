"""A run for `dyntools adam-memory`: analysed into a report, and trained on to verify a plan."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from dyntools.cli import terminal
from dyntools.cli.loss import Loss
from dyntools.errors import CheckpointError, UsageError
from dyntools.layer_kinds import Kinds
from dyntools.log import Role

if TYPE_CHECKING:
    from dyntools.forms import Form
    from dyntools.problem import Problem
    from dyntools.problem.second_moments import Estimate
    from dyntools.report import Report
    from dyntools.run import Run
    from dyntools.verification import Verification

RATES = "effective_lr"  # tells the learning rate of each checkpoint, where no log does


@dataclass(frozen=True)
class Trial:
    """How a plan is verified; steps: None for not at all."""

    steps: int | None
    seeds: int | None
    lr: float | None
    batch_size: int | None
    clip: float | None

    @property
    def wanted(self) -> bool:
        """Whether the plan is to be trained on."""
        return self.steps is not None

    def check(self, loss: object) -> None:
        """Raises UsageError for what goes with --verify and stands alone, or lacks the loss."""
        if not self.wanted:
            for name in ("seeds", "lr", "batch_size", "clip"):
                if getattr(self, name) is not None:
                    option = f"--{name.replace('_', '-')}"
                    raise UsageError(f"{option} goes with --verify.", remedy="--verify 200")
        elif not loss:
            raise UsageError(
                "--verify trains on, and the loss of the run is not known.",
                remedy="--problem FILE.py:NAME",
            )


@dataclass(frozen=True, eq=False)
class Source:
    """What the command was given, and how a run is read."""

    path: str
    output: Path | None
    force: bool
    initial: Path | None
    logs: tuple[Path, ...]
    roles: Mapping[str, str]
    kinds: Kinds
    device: str
    mmap: bool
    loss: Loss
    estimate: Estimate | None

    def refuse_run_options(self, trial: Trial, what: str) -> None:
        """Raises UsageError for an option that only a run has a use for."""
        given = {
            "--verify": trial.wanted,
            "--output": self.output is not None,
            "--initial": self.initial is not None,
            "--logs": bool(self.logs),
            "--role": bool(self.roles),
            "--estimate-second-moments": self.estimate is not None,
            "--problem": (self.loss.problem or self.loss.text or self.loss.tokens) is not None,
        }
        for option, is_given in given.items():
            if is_given:
                raise UsageError(
                    f"{option} goes with a run, and this is {what}.",
                    where=self.path,
                    remedy=f"dyntools adam-memory RUN {option} …",
                )

    @cached_property
    def opened(self) -> tuple[Run, Problem | None]:
        """The run, and its loss where that is given; the code of a problem is run here."""
        from dyntools.opening import open_run

        run = open_run(
            self.path,
            initial=self.initial,
            log_paths=self.logs,
            roles=self.roles,
            kinds=self.kinds,
            mmap=self.mmap,
        )
        return run, self.loss.load(run.checkpoints[-1] if run.checkpoints else None)

    def analysed(self) -> tuple[Report, Path]:
        """The run measured, or the report of the same analysis taken as it is."""
        from dyntools.analysis import analyze
        from dyntools.measuring import device_of
        from dyntools.metrics import PRESETS
        from dyntools.plan import make_plan

        run, problem = self.opened
        self._check_state(run)
        logged = run.log is not None and run.log.curve(Role.learning_rate) is not None
        requests = [*PRESETS["low-memory"], *(() if logged else (RATES,))]
        plan = make_plan(run, requests, None, problem, self.estimate)
        target = self.output or Path(f"{_stem(run.name)}-adam-memory.h5")
        if not target.exists() or self.force:
            metrics = ", ".join(task.name for task in plan.tasks)
            terminal.say(f"{run.name}: measuring {metrics} at {len(run.steps)} checkpoints")
        try:
            with terminal.progress_bar() as progress:
                report = analyze(
                    run,
                    plan,
                    target,
                    device=device_of(self.device),
                    resume=not self.force,
                    force=self.force,
                    command=shlex.join(["dyntools", *sys.argv[1:]]),
                    progress=progress,
                )
        except KeyboardInterrupt:
            terminal.say("What was finished is kept; the same command continues.")
            raise
        return report, target

    def _check_state(self, run: Run) -> None:
        if self.estimate is not None or not run.checkpoints:
            return
        if not any(checkpoint.has_optimizer for checkpoint in run.checkpoints):
            raise CheckpointError(
                "The checkpoints hold no state of Adam, of which memory could be saved.",
                where=run.path,
                remedy="--estimate-second-moments 200 with --problem FILE.py:NAME, or checkpoints"
                " saved with optimizer.state_dict()",
            )


def verified(source: Source, trial: Trial, forms: Mapping[str, Form]) -> Verification:
    """The plan and AdamW trained on from the last checkpoint that allows it."""
    from dyntools.measuring import device_of
    from dyntools.run import snapshots
    from dyntools.verification import verify

    run, problem = source.opened
    assert problem is not None  # Trial.check
    assert trial.steps is not None
    (snapshot,) = snapshots(
        run,
        steps=run.steps[-1:],
        device=device_of(source.device),
        problem=problem,
        estimate=source.estimate,
    )
    settings = {"seeds": trial.seeds, "lr": trial.lr, "batch_size": trial.batch_size}
    settings |= {"clip": trial.clip}
    given = {name: value for name, value in settings.items() if value is not None}
    terminal.say(f"training on from step {snapshot.step}, with AdamW and with the plan")
    with terminal.progress_bar() as progress:
        told = None if progress is None else partial(progress, "training on")
        return verify(problem, snapshot, forms, trial.steps, told=told, **given)  # type: ignore[arg-type]


def check_exports(paths: Sequence[Path], *, force: bool) -> None:
    """Raises UsageError for a file that could not be written, before anything is measured."""
    from dyntools.adam_memory.exports import check

    for path in paths:
        check(path, force=force)
        if not path.parent.is_dir():
            raise UsageError("There is no such folder.", where=str(path.parent), found=str(path))


def _stem(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip("-.") or "run"
