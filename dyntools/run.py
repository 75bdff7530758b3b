"""Run: a training run, its checkpoints in order and its log, turned into snapshots.

`opening` makes a run of a path; `sequence` says which checkpoints it has and in what order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dyntools.checkpoint import Checkpoint, Entry, OptimizerState, is_buffer
from dyntools.checkpoints.named_by_model import named_by_model
from dyntools.checkpoints.optimizer_names import Parameters, is_index
from dyntools.errors import CheckpointError, ProblemError
from dyntools.layer_kinds import BY_NAME, Kinds
from dyntools.log import Log
from dyntools.recipe import NOTHING, Recipe
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
    each with its reason. kinds: what part of the network each tensor is.
    recipe: what a person told of it.
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
    kinds: Kinds = BY_NAME
    recipe: Recipe = NOTHING

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
    found, which moves their numbers within their errors. The final one is the last of the run,
    whether selected or not.
    """

    def bare_of(checkpoint: Checkpoint) -> Snapshot:
        return _bare(run, checkpoint, device, problem, estimate)

    wanted = set(run.steps if steps is None else steps)
    start = None if run.initial is None else bare_of(run.initial)
    last = run.checkpoints[-1] if run.checkpoints else None
    end = start if last is run.initial or last is None else bare_of(last)
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
        elif end is not None and checkpoint is last:
            bare = end
        yield replace(bare, initial=start, previous=previous, final=end, log=log, earlier=earlier)
        if earlier is not None:
            earlier.forget_vectors()
        previous = earlier = bare


def log_snapshots(run: Run, at: Iterable[int], device: torch.device = CPU) -> Iterator[Snapshot]:
    """Snapshots that hold a history and no model, for the metrics that need only the log."""
    if run.log is not None:
        for step in at:
            past, none = run.log.until(step), Tensors({}, _nothing)
            yield Snapshot(step, none, log=past, device=device, recipe=run.recipe)


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
        open_optimizer=_opener(checkpoint, entries, others, problem),
        problem=problem,
        kinds=run.kinds,
        estimate=estimate,
        recipe=run.recipe,
    )


def _opener(
    checkpoint: Checkpoint,
    entries: Mapping[str, Entry],
    others: Mapping[str, Entry],
    problem: Problem | None,
) -> Callable[[], OptimizerState | None] | None:
    """What opens the optimizer; a problem's model names what the files leave as `param[3] …`."""
    if problem is None or not checkpoint.has_optimizer:
        return checkpoint.optimizer if checkpoint.has_optimizer else None

    def named() -> OptimizerState | None:
        state = checkpoint.optimizer()
        if state is None:
            return None
        return named_by_model(state, lambda: _orders(problem, entries, others))

    return named


def lacks_names(run: Run) -> bool:
    """Whether the newest state of the optimizer has parameters that only a model can name."""
    stored = next((c for c in reversed(run.checkpoints) if c.has_optimizer), None)
    try:
        state = stored.optimizer() if stored else None
    except CheckpointError:
        return False  # measuring it will say so
    return state is not None and any(map(is_index, state.state))


def _orders(
    problem: Problem, entries: Mapping[str, Entry], others: Mapping[str, Entry]
) -> list[Parameters]:
    """What the model of a problem may have given its optimizer, under the checkpoint's names.

    Nothing where it is another model, which binding it will say.
    """
    from dyntools.problem.matching import match

    shapes, rest = ({n: e.shape for n, e in part.items()} for part in (entries, others))
    try:
        found = match(problem.model, shapes, rest)
    except ProblemError:
        return []
    stored = {own: name for name, own in found.names.items()} | dict(found.constants)
    every = [stored[own] for own, _ in problem.model.named_parameters()]
    origin = "the model of the problem"
    return [
        Parameters({name: (shapes | rest)[name] for name in names}, origin)
        for names in (tuple(found.names), every)
    ]


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
