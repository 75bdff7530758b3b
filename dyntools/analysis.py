"""Analysis: how a run becomes a report.

Each finished measurement is a line in a journal beside the report; at the end the journal is sealed
into HDF5. Whatever interrupts it, `resume` continues from the journal and gives the same report;
but for numbers whose iterations start from the step before, such as eigenvalues of the Hessian:
there a resumed analysis, and shards, start elsewhere, and the numbers agree within their errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from dyntools import hdf5, provenance
from dyntools.admission import admit
from dyntools.errors import ReportError
from dyntools.gathering import report_of_journal
from dyntools.journal import Journal
from dyntools.log import Log, Role
from dyntools.measuring import UNREADABLE, device_of, measure_all
from dyntools.meter import Meter, Progress
from dyntools.plan import Plan, Task
from dyntools.problem.record import sentence, validation_sentence
from dyntools.problem.user_code import blamed
from dyntools.ranks import ALONE
from dyntools.report import Report
from dyntools.run import Run, log_snapshots, snapshots

LOG_POINTS = 200  # most steps at which log metrics are measured; chosen: as wide as a plot


def log_points(log: Log) -> list[int]:
    """Where log metrics are measured: at the validations, else along the training loss, and last.

    At most `LOG_POINTS`, evenly chosen.
    """
    curve = log.curve(Role.validation_loss) or log.curve(Role.train_loss)
    if curve is None or log.last_step is None:
        return [] if log.last_step is None else [log.last_step]
    steps = curve.steps[curve.steps <= log.last_step]
    chosen = np.unique(np.linspace(0, len(steps) - 1, min(LOG_POINTS, len(steps))).round())
    return sorted({*steps[chosen.astype(int)].tolist(), log.last_step})


def journal_path(output: Path) -> Path:
    """Where the journal of a report lies until it is sealed."""
    return output.with_name(output.name + ".journal")


def analyze(
    run: Run,
    plan: Plan,
    output: Path,
    *,
    steps: Sequence[int] | None = None,
    device: torch.device | None = None,
    shard: tuple[int, int] = (0, 1),
    resume: bool = False,
    force: bool = False,
    command: str = "",
    progress: Progress | None = None,
) -> Report:
    """Measure a run and seal the report at `output`; returns it as read back from the file.

    steps: those to measure, default all. shard: (i, n) measures every n-th of them, from the i-th
    on; the log is measured by shard 0. Of several processes the first does this, others `assist`.
    Raises ReportError when `output` or an unfinished journal is in the way and neither `resume` nor
    `force` is given; ProblemError, before anything is written, when the problem does not fit.
    """
    device = device or device_of("auto")
    steps = run.steps if steps is None else steps
    ranks = ALONE if plan.problem is None else plan.problem.ranks
    part = f"{shard[0] + 1}/{shard[1]}" if shard[1] > 1 else ""
    with blamed(plan.problem):
        attributes = provenance.attributes(run, plan, device, steps, part, command)
    if ranks.count > 1:
        attributes["processes"] = ranks.count
    if finished := _finished(output, attributes, resume=resume, force=force):
        ranks.gather(None)
        return finished
    path = journal_path(output)
    done = _done(path, attributes, resume=resume, force=force)
    of_weights = _waiting(plan.of_weights, steps[shard[0] :: shard[1]], done or set())
    ranks.gather({step: [task.name for task in tasks] for step, tasks in of_weights.items()})
    admit(run, plan, steps, device)
    with _opened(path, append=done is not None) as journal:
        if done is None:
            journal.header(attributes, _entries(run, plan, device))
        _describe(journal, run)  # again when resumed: the first time may have been cut off
        at = log_points(run.log) if run.log is not None and shard[0] == 0 else []
        of_log = _waiting(plan.of_log, at, done or set())
        meter = Meter(len(of_log) + sum(map(len, of_weights.values())), progress)
        _measure_log(journal, run, of_log, meter)
        _measure_weights(journal, run, plan, of_weights, device, meter)
        journal.write("finished", time=provenance.now())
    report = report_of_journal(path)
    report = replace(report, attributes={**report.attributes, "finished": provenance.now()})
    hdf5.write(report, output)
    path.unlink()
    return hdf5.read(output)


def assist(
    run: Run, plan: Plan, *, steps: Sequence[int] | None = None, device: torch.device | None = None
) -> None:
    """What the ranks beside the first do while that one analyses: their share of the products.

    Rank 0 tells what is left to measure; the same steps are gone through here, also those without
    a task, so that iterations start from the same vectors. Raises ReportError when the checkpoints
    seen here are others.
    """
    device = device or device_of("auto")
    if plan.problem is None:
        return
    told = plan.problem.ranks.gather(None)[0]
    if told is None:
        return  # the report is there
    if unknown := sorted(set(told) - set(run.steps)):
        raise ReportError(
            "The processes see different checkpoints.",
            where=run.path,
            found=f"step {unknown[0]} is known to the first process only",
            remedy="--steps with steps that are complete, while the run goes on",
        )
    admit(run, plan, run.steps if steps is None else steps, device)
    # On disk there are no gradients but the problem's.
    shared = {"problem", "gradients"}
    tasks = {task.name: task for task in plan.of_weights if shared & set(task.metric.needs)}
    for snapshot in snapshots(run, steps=told, device=device, problem=plan.problem):
        wanted = [tasks[name] for name in told[snapshot.step] if name in tasks]
        for _ in measure_all(snapshot, wanted):
            pass


def _finished(
    output: Path, attributes: dict[str, object], *, resume: bool, force: bool
) -> Report | None:
    """The sealed report, if it is the very one asked for and may be taken as it is."""
    try:
        hdf5.check_replaceable(output, force=force)
    except ReportError:
        if not resume or journal_path(output).exists() or not output.is_file():
            raise
        report = hdf5.read(output)
        if all(report.attributes.get(k) == attributes[k] for k in ("identity", "shard")):
            return report
        raise
    return None


def _done(
    path: Path, attributes: dict[str, object], *, resume: bool, force: bool
) -> set[tuple[str, int]] | None:
    """The (metric, step) pairs that a journal holds; None when there is none to continue."""
    if not path.exists() or force:
        return None
    if not resume:
        raise ReportError(
            "There is an unfinished analysis here.",
            where=str(path),
            remedy="--resume continues it, --force starts over",
        )
    try:
        report = report_of_journal(path)
    except ReportError:
        if path.stat().st_size and path.read_bytes().find(b"\n") >= 0:
            raise
        return None  # killed within the first line: nothing was finished
    for key in ("identity", "shard"):
        if report.attributes.get(key) != attributes[key]:
            raise ReportError(
                "The unfinished analysis here is another one: its checkpoints, metrics, settings"
                " or versions differ.",
                where=str(path),
                remedy="the same command as before with --resume, or --force to start over",
            )
    return {(s.metric, step) for s in report.series.values() for step in s.steps.tolist()}


def _opened(path: Path, *, append: bool) -> Journal:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return Journal(path, append=append)
    except OSError as error:
        raise ReportError(
            "The report cannot be written there.",
            where=str(path.parent),
            found=str(error),
            remedy="another path with -o",
        ) from error


def _entries(run: Run, plan: Plan, device: torch.device) -> list[dict[str, object]]:
    log_unit = run.log.unit if run.log is not None else run.step_unit
    problem = plan.problem
    probe = "" if problem is None else sentence(problem, device)
    held_out = "" if problem is None else validation_sentence(problem, device)
    entries = [
        task.entry(run.step_unit, probe, plan.estimate, held_out) for task in plan.of_weights
    ]
    return entries + [task.entry(log_unit) for task in plan.of_log]


def _describe(journal: Journal, run: Run) -> None:
    for row in run.rows:
        journal.checkpoint(row)
    for note in run.notes:
        journal.note(note)
    if run.log is not None:
        journal.log(run.log)


def _measure_log(
    journal: Journal, run: Run, waiting: Mapping[int, Sequence[Task]], meter: Meter
) -> None:
    for snapshot in log_snapshots(run, waiting):
        for row in measure_all(snapshot, waiting[snapshot.step]):
            journal.measurement(row)
        meter.done += 1
        meter.tell("training log")


def _measure_weights(
    journal: Journal,
    run: Run,
    plan: Plan,
    waiting: Mapping[int, Sequence[Task]],
    device: torch.device,
    meter: Meter,
) -> None:
    for snapshot in snapshots(
        run, steps=waiting, device=device, problem=plan.problem, estimate=plan.estimate
    ):
        tasks, what = waiting[snapshot.step], f"{run.step_unit} {snapshot.step}"
        meter.tell(what)
        unreadable: dict[str, str] = {}
        rows = []
        for row in measure_all(snapshot, tasks, partial(meter.hear, what, tasks)):
            journal.measurement(row)
            rows.append(row)
            reasons = row.measurement.skipped.items()
            unreadable |= {name: why for name, why in reasons if why.startswith(UNREADABLE)}
        for name, why in unreadable.items():
            journal.note(f"{name} at {what} {why}")
        meter.learn(rows)


def _waiting(
    tasks: Sequence[Task], steps: Sequence[int], done: set[tuple[str, int]]
) -> dict[int, list[Task]]:
    """The tasks that each step still lacks, without the steps that lack none."""
    left = {step: [task for task in tasks if (task.name, step) not in done] for step in steps}
    return {step: waiting for step, waiting in left.items() if waiting}
