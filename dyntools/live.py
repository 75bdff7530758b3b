"""Live: a model in memory as a snapshot, with the state of its optimizer by parameter name.

The third door beside the files: what a checkpoint saved now would hold, without writing it. The
tensors are those of the model, not copies; measure before the next step of training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from dyntools.checkpoint import Entry, OptimizerState
from dyntools.checkpoints.constants import constant
from dyntools.checkpoints.optimizer_state import family_of, marks_of, parts_of
from dyntools.errors import CheckpointError
from dyntools.layer_kinds import BY_NAME, Kinds
from dyntools.log import Log
from dyntools.problem import Problem
from dyntools.problem.matching import bare
from dyntools.recipe import NOTHING, Recipe
from dyntools.snapshot import Snapshot, Tensors


def snapshot_of(
    model: nn.Module,
    step: int,
    *,
    optimizer: torch.optim.Optimizer | None = None,
    problem: Problem | None = None,
    initial: Snapshot | None = None,
    previous: Snapshot | None = None,
    final: Snapshot | None = None,
    earlier: Snapshot | None = None,
    log: Log | None = None,
    gradients: bool = False,
    kinds: Kinds = BY_NAME,
    recipe: Recipe = NOTHING,
) -> Snapshot:
    """The model as it is now, on the device of its parameters.

    previous, initial: snapshots of copies, as these tensors change with training. final: of the end
    of the run, where that is known. earlier: the snapshot measured last, for warm starts. log: what
    the loop has logged so far. gradients: those that lie in `.grad` now, which are read when a
    metric asks. kinds: what part of the network each tensor is. recipe: what the loop knows and
    neither the optimizer nor the log holds.
    """
    params = {bare(n): p.detach() for n, p in model.named_parameters() if p.requires_grad}
    frozen = {bare(n): p.detach() for n, p in model.named_parameters() if not p.requires_grad}
    buffers = {bare(name): buffer.detach() for name, buffer in model.named_buffers()}
    return Snapshot(
        step,
        Tensors.of(params),
        initial=initial,
        previous=previous,
        final=final,
        log=log,
        device=next(iter(params.values())).device if params else torch.device("cpu"),
        config=config_of(model),
        buffers=Tensors.of({**frozen, **buffers}),
        open_optimizer=None if optimizer is None else lambda: state_of(model, optimizer),
        problem=problem,
        gradients=gradients_of(model) if gradients else None,
        earlier=None if earlier is None else replace(earlier, earlier=None, previous=None),
        kinds=kinds,
        recipe=recipe,
    )


def config_of(model: nn.Module) -> Mapping[str, object]:
    """The configuration that a Hugging Face model carries and saves beside its weights."""
    inner = getattr(model, "_orig_mod", getattr(model, "module", model))
    told = getattr(getattr(inner, "config", None), "to_dict", None)
    return told() if callable(told) else {}


def gradients_of(model: nn.Module) -> Tensors:
    """What lies in `.grad` of the trainable parameters; those without one are left out.

    Nothing is kept: after `zero_grad` the gradients are gone from here as well.
    """
    found = {bare(n): p for n, p in model.named_parameters() if p.requires_grad}
    having = {name: tuple(p.shape) for name, p in found.items() if p.grad is not None}

    def read(name: str) -> Tensor:
        gradient = found[name].grad
        if gradient is None:
            raise CheckpointError(f"The gradient of {name} is gone.", remedy="before zero_grad")
        return gradient.detach().to_dense() if gradient.is_sparse else gradient.detach()

    return Tensors(having, read)


def state_of(model: nn.Module, optimizer: torch.optim.Optimizer) -> OptimizerState:
    """The state of a running optimizer by the names of the model's parameters.

    States of 8 bits are told as the numbers they stand for, and settings kept in tensors (of
    capturable optimizers) as plain ones. Parameters of the optimizer that are none of the model are
    left out and counted in `naming`.
    """
    names = {id(p): bare(name) for name, p in model.named_parameters()}
    groups = tuple(
        {
            **{key: _plain(value) for key, value in group.items() if key != "params"},
            "params": tuple(names[id(p)] for p in group["params"] if id(p) in names),
        }
        for group in optimizer.param_groups
    )
    own = {names[id(p)]: values for p, values in optimizer.state.items() if id(p) in names}
    parts = {name: parts_of(_entries(values)) for name, values in own.items()}
    marks = {mark for values in own.values() for mark in marks_of(values)}
    naming = "by the parameters of the running model"
    if others := sum(id(p) not in names for g in optimizer.param_groups for p in g["params"]):
        naming += f"; {others} of the optimizer are none of them and left out"
    return OptimizerState(family_of(parts, groups, marks), groups, parts, naming)


def _plain(value: object) -> object:
    if isinstance(value, tuple | list):
        return tuple(map(_plain, value))
    if isinstance(value, Tensor) and value.shape == (2,):  # both betas
        return tuple(value.tolist())
    return value.item() if isinstance(value, Tensor) and value.numel() == 1 else value


def _entries(values: Mapping[str, object]) -> dict[str, Entry]:
    found = {}
    for key, value in values.items():
        if isinstance(value, Tensor):
            found[key] = _entry(value.detach())
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[key] = constant(value)
    return found


def _entry(tensor: Tensor) -> Entry:
    dtype = str(tensor.dtype).removeprefix("torch.")
    return Entry(tuple(tensor.shape), dtype, lambda: tensor)
