"""Measuring: where metrics meet snapshots.

`measure` is the one function through which every door goes: the library, the command line and a
live recorder differ only in how they make snapshots. Layerwise metrics are measured tensor by
tensor, all of them on one tensor before the next is read, so that memory is bounded by the largest
tensor and each is read from disk once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace

import numpy as np
import torch

from dyntools.assembly import stack_layers
from dyntools.errors import CheckpointError, ProblemError, UsageError
from dyntools.journal import Row
from dyntools.measurement import Measurement, per_layer, skipped
from dyntools.metrics import find
from dyntools.metrics.metric import Metric, Setting
from dyntools.plan import Task, lacking
from dyntools.problem.user_code import blamed
from dyntools.snapshot import Snapshot

# Metrics that see vectors through operators alone, so that these may be cut over processes.
SHARDED = ("hessian_top", "gauss_newton_top")
RAISED = "it raised"  # how the reason begins when a metric itself failed
NO_MEMORY = "out of memory on"
UNREADABLE = "cannot be read"  # how the reason begins when the file, not the number, is at fault


@dataclass(frozen=True)
class Advance:
    """How far some metrics are on one snapshot.

    share: of each of them that is done; not known while `products` with the Hessian are counted,
    each of which takes about `seconds`.
    """

    metrics: tuple[str, ...]
    share: float = 0.0
    products: int = 0
    seconds: float = 0.0


Told = Callable[[Advance], None]
Caught = tuple[type[Exception], ...]


def measure(snapshot: Snapshot, metric: Metric | str, **settings: Setting) -> Measurement:
    """One metric on one snapshot.

    A missing input gives an empty measurement that says what is missing. Raises UsageError for an
    unknown metric or setting.
    """
    metric = find(metric) if isinstance(metric, str) else metric
    task = Task(metric, metric.settings(settings))
    return next(iter(measure_all(snapshot, (task,)))).measurement


def measure_all(
    snapshot: Snapshot,
    tasks: Sequence[Task],
    told: Told = lambda advance: None,
    caught: Caught = (),
) -> Iterator[Row]:
    """Several metrics on one snapshot, tensor by tensor where they are layerwise.

    caught: errors that are rows with a reason beside those of bad data, which always are.

    What metrics share, such as a spectrum, is on the account of the first that asks for it. `told`
    hears after each tensor, each product with the Hessian and each metric.
    """
    parts: dict[str, list[Measurement]] = {task.name: [] for task in tasks}
    seconds = dict.fromkeys(parts, 0.0)
    able = [task for task in tasks if not lacking(task.metric, snapshot)]
    layerwise = [task for task in able if task.metric.layerwise]
    sizes = {name: math.prod(shape) for name, shape in snapshot.params.shapes.items()}
    done, total = 0, max(sum(sizes.values()), 1)
    names = _tensors(snapshot, layerwise, caught)
    with _one_thread():
        for name in names:
            one = snapshot.only(name)
            for task in layerwise:
                started = time.perf_counter()
                parts[task.name].append(_guarded(one, task, name, caught=caught))
                seconds[task.name] += time.perf_counter() - started
            done += sizes.get(name, 0)
            told(Advance(tuple(task.name for task in layerwise), done / total))
    try:
        yield from _rows(snapshot, tasks, parts, seconds, told, caught)
    finally:
        snapshot.release()


def _tensors(snapshot: Snapshot, layerwise: Sequence[Task], caught: Caught) -> tuple[str, ...]:
    """What is gone through one by one; with the states of an optimizer that have no name.

    Second moments are estimated here, and the problem's gradient taken, with all threads, where
    that is asked for.
    """
    if any("gradients" in task.metric.needs for task in layerwise) and snapshot.gradients is None:
        with suppress(ProblemError, *caught), blamed(snapshot.problem):  # each metric will say so
            snapshot.gradient_of_problem(next(iter(snapshot.params)))
    if any("moments" in task.metric.needs for task in layerwise):
        # Each metric of the optimizer will say so.
        with suppress(CheckpointError, ProblemError, *caught), blamed(snapshot.problem):
            return snapshot.tensors()
    return tuple(snapshot.params) if layerwise else ()


def _rows(
    snapshot: Snapshot,
    tasks: Sequence[Task],
    parts: Mapping[str, Sequence[Measurement]],
    seconds: Mapping[str, float],
    told: Told,
    caught: Caught,
) -> Iterator[Row]:
    """The rows of all tasks in order; those that are not layerwise are measured here."""
    for task in tasks:
        started = time.perf_counter()
        if reason := lacking(task.metric, snapshot) or _unsharded(task.metric, snapshot):
            found = skipped(reason, task.metric.dims)
        elif task.metric.layerwise:
            found = stack_layers(parts[task.name], task.metric.dims)
        else:
            found = _guarded(snapshot, task, "", told, caught)
        told(Advance((task.name,), 1.0))
        elapsed = seconds[task.name] + time.perf_counter() - started
        yield Row(task.name, snapshot.step, elapsed, found)


def _unsharded(metric: Metric, snapshot: Snapshot) -> str:
    """Why a metric cannot have its parameters cut over processes, "" where it can or need not."""
    problem = snapshot.problem
    if problem is None or not problem.engine.sharded or problem.ranks.count == 1:
        return ""
    if "problem" not in metric.needs or metric.name in SHARDED:
        return ""
    return "it needs whole parameter vectors in each process: without --shard-parameters"


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


def _guarded(
    snapshot: Snapshot, task: Task, entry: str, told: Told | None = None, caught: Caught = ()
) -> Measurement:
    """The measurement, or an empty one with the reason when the data do not allow it."""
    try:
        with _agreeing(snapshot, task, entry), blamed(snapshot.problem):
            if told is not None and "problem" in task.metric.needs:
                _tell_products(snapshot, task, told)
            return task.metric.measure(snapshot, **task.settings)
    except CheckpointError as error:
        reason = f"{UNREADABLE}: {error.what}" + (f" ({error.found})" if error.found else "")
    except ProblemError as error:
        reason = error.what + (f" ({error.found})" if error.found else "")
    except torch.OutOfMemoryError:
        reason = f"{NO_MEMORY} {snapshot.device}"
    except np.linalg.LinAlgError as error:
        reason = f"the decomposition failed: {error}"
    except caught as error:
        reason = f"{RAISED} {type(error).__name__}: {error}"
    if task.metric.dims == ("layer",) and task.metric.layerwise:
        return per_layer({entry: math.nan}, skipped={entry: reason})
    return replace(skipped(reason, task.metric.dims), skipped={entry: reason})


def _agreeing(snapshot: Snapshot, task: Task, entry: str) -> AbstractContextManager[None]:
    """Several processes end a metric together, so that none goes on with another one alone."""
    if snapshot.problem is None or "problem" not in task.metric.needs:
        return nullcontext()
    return snapshot.problem.ranks.agreeing(f"{task.name} {entry} at {snapshot.step}")


def _tell_products(snapshot: Snapshot, task: Task, told: Told) -> None:
    risk = snapshot.risk()
    before = risk.products

    def hear(products: int, seconds: float) -> None:
        told(Advance((task.name,), 0.0, products - before, seconds))

    risk.told = hear


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
    if device.type not in ("cpu", "cuda", "mps") or (device.type == "cpu" and device.index):
        raise UsageError(f"There is no device {name!r}.", remedy="auto, cpu, cuda, cuda:1, mps")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = f"{torch.cuda.device_count()} CUDA devices"
        raise UsageError(f"There is no device {name}.", found=found, remedy="--device auto")
    if device.type == "mps":
        if not torch.backends.mps.is_available():
            raise UsageError("There is no device mps.", remedy="--device auto")
        return torch.device("cpu")  # mps has no float64, in which everything here is computed
    return device
