"""Analysis: where metrics meet snapshots, and how a run becomes a report.

`measure` is the one function through which every door goes: the library, the command line and a
live recorder differ only in how they make snapshots. `analyze` drives it over a run: each finished
measurement is a line in a journal beside the report, and at the end the journal is sealed into
HDF5. Whatever interrupts it, `resume` continues from the journal and gives the same report.

Layerwise metrics are measured tensor by tensor, all of them on one tensor before the next is read,
so that memory is bounded by the largest tensor and each is read from disk once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from dyntools import hdf5, provenance
from dyntools.assembly import report_of_journal, stack_layers
from dyntools.errors import CheckpointError, ReportError, UsageError
from dyntools.journal import Journal, Row
from dyntools.log import Log, Role
from dyntools.measurement import Measurement, skipped
from dyntools.metrics import find
from dyntools.metrics.metric import Metric, Setting
from dyntools.plan import Plan, Task, lacking
from dyntools.report import Report
from dyntools.run import Run, log_snapshots, snapshots
from dyntools.snapshot import Snapshot

LOG_POINTS = 200  # most steps at which log metrics are measured; chosen: as wide as a plot

Progress = Callable[[str, int, int], None]  # what is being measured, done, total


def measure(snapshot: Snapshot, metric: Metric | str, **settings: Setting) -> Measurement:
    """One metric on one snapshot.

    A missing input gives an empty measurement that says what is missing. Raises UsageError for an
    unknown metric or setting.
    """
    metric = find(metric) if isinstance(metric, str) else metric
    task = Task(metric, metric.settings(settings))
    return next(iter(measure_all(snapshot, (task,)))).measurement


def measure_all(snapshot: Snapshot, tasks: Sequence[Task]) -> Iterator[Row]:
    """Several metrics on one snapshot, tensor by tensor where they are layerwise.

    What metrics share, such as a spectrum, is on the account of the first that asks for it.
    """
    parts: dict[str, list[Measurement]] = {task.name: [] for task in tasks}
    seconds = dict.fromkeys(parts, 0.0)
    able = [task for task in tasks if not lacking(task.metric, snapshot)]
    layerwise = [task for task in able if task.metric.layerwise]
    with _one_thread():
        for name in snapshot.params if layerwise else ():
            one = snapshot.only(name)
            for task in layerwise:
                started = time.perf_counter()
                parts[task.name].append(_guarded(one, task, name))
                seconds[task.name] += time.perf_counter() - started
    for task in tasks:
        started = time.perf_counter()
        if reason := lacking(task.metric, snapshot):
            found = skipped(reason, task.metric.dims)
        elif task.metric.layerwise:
            found = stack_layers(parts[task.name], task.metric.dims)
        else:
            found = _guarded(snapshot, task, "")
        elapsed = seconds[task.name] + time.perf_counter() - started
        yield Row(task.name, snapshot.step, elapsed, found)


@contextmanager
def _one_thread() -> Iterator[None]:
    """torch on one thread, as it was before afterwards.

    Sums over blocks are bound by memory and gain little from a second thread; on a machine that is
    busy training, threads that wait for one another made them 20 times slower (measured, two shared
    cores). It also makes the last bits independent of how many threads there are.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _guarded(snapshot: Snapshot, task: Task, entry: str) -> Measurement:
    """The measurement, or an empty one with the reason when the data do not allow it."""
    try:
        return task.metric.measure(snapshot, **task.settings)
    except CheckpointError as error:
        reason = f"cannot be read: {error.what}" + (f" ({error.found})" if error.found else "")
    except torch.OutOfMemoryError:
        reason = f"out of memory on {snapshot.device}"
    except np.linalg.LinAlgError as error:
        reason = f"the decomposition failed: {error}"
    return replace(skipped(reason, task.metric.dims), skipped={entry: reason})


def device_of(name: str) -> torch.device:
    """The device of a `--device` option. Raises UsageError when the machine has no such device."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(
            f"There is no device {name!r}.", remedy="auto, cpu, cuda, cuda:1, mps"
        ) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = f"{torch.cuda.device_count()} CUDA devices"
        raise UsageError(f"There is no device {name}.", found=found, remedy="--device auto")
    if device.type == "mps":
        if not torch.backends.mps.is_available():
            raise UsageError("There is no device mps.", remedy="--device auto")
        return torch.device("cpu")  # mps has no float64, in which everything here is computed
    return device


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
    on; the log is measured by shard 0.
    Raises ReportError when `output` or an unfinished journal is in the way and neither `resume` nor
    `force` is given.
    """
    device = device or device_of("auto")
    steps = run.steps if steps is None else steps
    part = f"{shard[0] + 1}/{shard[1]}" if shard[1] > 1 else ""
    attributes = provenance.attributes(run, plan, device, steps, part, command)
    if finished := _finished(output, attributes, resume=resume, force=force):
        return finished
    path = journal_path(output)
    done = _done(path, attributes, resume=resume, force=force)
    with _opened(path, append=done is not None) as journal:
        if done is None:
            _begin(journal, run, plan, attributes)
        _measure_run(journal, run, plan, steps, device, shard, done or set(), progress)
        journal.write("finished", time=provenance.now())
    report = report_of_journal(path)
    report = replace(report, attributes={**report.attributes, "finished": provenance.now()})
    hdf5.write(report, output)
    path.unlink()
    return hdf5.read(output)


def _finished(
    output: Path, attributes: dict[str, object], *, resume: bool, force: bool
) -> Report | None:
    """The sealed report, if it is the very one asked for and may be taken as it is."""
    if not output.exists() or force:
        return None
    if resume and not journal_path(output).exists():
        report = hdf5.read(output)
        same = all(report.attributes.get(k) == attributes[k] for k in ("identity", "shard"))
        if same:
            return report
    raise ReportError(
        "There is a report here already; it will not be overwritten.",
        where=str(output),
        remedy="another path with -o, or --force",
    )


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


def _begin(journal: Journal, run: Run, plan: Plan, attributes: dict[str, object]) -> None:
    log_unit = run.log.unit if run.log is not None else run.step_unit
    entries = [task.entry(run.step_unit) for task in plan.of_weights]
    entries += [task.entry(log_unit) for task in plan.of_log]
    journal.header(attributes, entries)
    for row in run.rows:
        journal.checkpoint(row)
    for note in run.notes:
        journal.note(note)
    if run.log is not None:
        journal.log(run.log)


def _measure_run(
    journal: Journal,
    run: Run,
    plan: Plan,
    steps: Sequence[int],
    device: torch.device,
    shard: tuple[int, int],
    done: set[tuple[str, int]],
    progress: Progress | None,
) -> None:
    mine = list(steps)[shard[0] :: shard[1]]
    at = log_points(run.log) if run.log is not None and plan.of_log and shard[0] == 0 else []
    total, count = len(at) + len(mine) * len(plan.of_weights), 0

    def told(what: str, finished: int) -> None:
        if progress is not None:
            progress(what, finished, total)

    waiting = {step: [t for t in plan.of_log if (t.name, step) not in done] for step in at}
    for snapshot in log_snapshots(run, at, device):
        for row in measure_all(snapshot, waiting[snapshot.step]):
            journal.measurement(row)
        count += 1
        told("training log", count)
    waiting = {step: [t for t in plan.of_weights if (t.name, step) not in done] for step in mine}
    for step in mine:
        count += len(plan.of_weights) - len(waiting[step])
    left = [step for step in mine if waiting[step]]
    for snapshot in snapshots(run, steps=left, device=device):
        told(f"{run.step_unit} {snapshot.step}", count)
        for row in measure_all(snapshot, waiting[snapshot.step]):
            journal.measurement(row)
            count += 1
            told(f"{run.step_unit} {snapshot.step}", count)
