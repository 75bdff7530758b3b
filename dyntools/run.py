"""Run: a training run, its checkpoints in order and its log, turned into snapshots.

`opening` makes a run of a path; `sequence` says which checkpoints it has and in what order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dyntools.checkpoint import Checkpoint, Entry, is_buffer
from dyntools.log import Log
from dyntools.report import CheckpointRow
from dyntools.sequence import step_of
from dyntools.snapshot import CPU, Snapshot, Tensors

if TYPE_CHECKING:
    import torch

    from dyntools.problem import Problem
    from dyntools.problem.second_moments import Estimate


@dataclass(frozen=True, eq=False)
class Run:
    """A training run.

    checkpoints: one for each step, in ascending order. initial: the model before training, if
    known. rows: what became of every checkpoint file. left_out: tensors that are no parameters,
    each with its reason.
    """

    name: str
    path: str
    checkpoints: tuple[Checkpoint, ...]
    initial: Checkpoint | None
    rows: tuple[CheckpointRow, ...]
    log: Log | None
    step_unit: str
    notes: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps that have a usable checkpoint."""
        return tuple(step_of(checkpoint) for checkpoint in self.checkpoints)


def snapshots(
    run: Run,
    *,
    steps: Iterable[int] | None = None,
    device: torch.device = CPU,
    problem: Problem | None = None,
    estimate: Estimate | None = None,
) -> Iterator[Snapshot]:
    """The run as snapshots, in ascending order; `steps` selects some of them.

    estimate: how second moments are found at a checkpoint that holds none.

    The previous checkpoint is always the neighbour on disk, so the numbers of a step do not depend
    on which other steps were selected; iterations start from what the step yielded before has
    found, which moves their numbers within their errors.
    """

    def bare_of(checkpoint: Checkpoint) -> Snapshot:
        return _bare(run, checkpoint, device, problem, estimate)

    wanted = set(run.steps if steps is None else steps)
    start = None if run.initial is None else bare_of(run.initial)
    previous: Snapshot | None = None
    earlier: Snapshot | None = None
    for position, checkpoint in enumerate(run.checkpoints):
        step = step_of(checkpoint)
        if step not in wanted:
            previous = None
            continue
        if previous is None and position > 0:
            previous = bare_of(run.checkpoints[position - 1])
        log = _history(run, checkpoint)
        bare = bare_of(checkpoint)
        if start is not None and checkpoint is run.initial:
            bare = start
        yield replace(bare, initial=start, previous=previous, log=log, earlier=earlier)
        if earlier is not None:
            earlier.forget_vectors()
        previous = earlier = bare


def log_snapshots(run: Run, at: Iterable[int], device: torch.device = CPU) -> Iterator[Snapshot]:
    """Snapshots that hold a history and no model, for the metrics that need only the log."""
    if run.log is not None:
        for step in at:
            yield Snapshot(step, Tensors({}, _nothing), log=run.log.until(step), device=device)


def _history(run: Run, checkpoint: Checkpoint) -> Log | None:
    """The log up to a checkpoint; None where the log counts in a unit that the two do not share.

    Lightning counts the steps of its log apart from those of its checkpoints.
    """
    if run.log is None:
        return None
    if run.log.unit == run.step_unit:
        return run.log.until(int(str(checkpoint.extra.get("log_step", checkpoint.step))))
    epoch = checkpoint.extra.get("epoch")
    return run.log.until(epoch) if run.log.unit == "epoch" and isinstance(epoch, int) else None


def _nothing(name: str) -> torch.Tensor:
    raise KeyError(name)


def _bare(
    run: Run,
    checkpoint: Checkpoint,
    device: torch.device,
    problem: Problem | None,
    estimate: Estimate | None,
) -> Snapshot:
    entries, _ = parameters(checkpoint)
    others = {n: entry for n, entry in checkpoint.tensors.items() if n not in entries}
    return Snapshot(
        step_of(checkpoint),
        _lazily(entries),
        config=checkpoint.config,
        device=device,
        buffers=_lazily(others),
        open_optimizer=checkpoint.optimizer if checkpoint.has_optimizer else None,
        problem=problem,
        estimate=estimate,
    )


def _lazily(entries: Mapping[str, Entry]) -> Tensors:
    shapes = {name: entry.shape for name, entry in entries.items()}
    return Tensors(shapes, lambda name: entries[name].read())


def parameters(checkpoint: Checkpoint) -> tuple[dict[str, Entry], dict[str, str]]:
    """The parameters of a checkpoint, each stored tensor once, and what was left out and why."""
    kept: dict[str, Entry] = {}
    left_out: dict[str, str] = {}
    owner: dict[tuple[object, ...], str] = {}
    for name, entry in checkpoint.tensors.items():
        if entry.dtype.startswith("complex"):
            left_out[name] = f"{entry.dtype}: complex weights are not measured"
        elif not entry.dtype.startswith(("float", "bfloat")):
            left_out[name] = f"{entry.dtype}: a buffer or quantised weights, not measured"
        elif is_buffer(name, entry.dtype):
            left_out[name] = f"a buffer ({entry.dtype}), not a parameter"
        elif entry.storage is not None and (entry.storage, entry.shape) in owner:
            left_out[name] = f"tied to {owner[entry.storage, entry.shape]}, measured there"
        else:
            kept[name] = entry
            if entry.storage is not None and 0 not in entry.shape:
                owner[entry.storage, entry.shape] = name
    return kept, left_out
