"""Start: what training goes on from: weights, constants, moments and settings of a checkpoint.

Everything goes by the names of the checkpoint, which are those of a plan; only the model is
addressed by its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dyntools.checkpoint import OptimizerState
from dyntools.errors import CheckpointError, UsageError
from dyntools.forms import FULL, Form
from dyntools.log import Role
from dyntools.moments import (
    NOT_STEPPED,
    Moments,
    betas_of,
    has_stepped,
    moments_of,
    not_adam,
    number,
)
from dyntools.optim import SlimAdamW
from dyntools.problem import Problem
from dyntools.problem.batches import placed
from dyntools.problem.matching import constants, match
from dyntools.snapshot import Snapshot

ENDLESS = 1e6  # steps where the state counts none: the corrections of bias are gone by then
SAVE_STATE = "a checkpoint with the state of AdamW: torch.save of optimizer.state_dict() beside it"
Settings = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Start:
    """weights: of the trained tensors. constants: what else the model holds, by its own names.

    inside: name in the checkpoint → in the model. groups: settings with the names in each group.
    state: step, exp_avg and exp_avg_sq of each tensor that has them. learning_rate: the largest.
    limits: sentences on what could not be taken over as it was.
    """

    weights: Mapping[str, Tensor]
    constants: Mapping[str, Tensor]
    inside: Mapping[str, str]
    groups: tuple[tuple[Settings, tuple[str, ...]], ...]
    state: Mapping[str, Mapping[str, Tensor]]
    learning_rate: float
    limits: tuple[str, ...]

    def leaves(self) -> dict[str, Tensor]:
        """Fresh copies of the weights; those in no group are not trained."""
        trained = {name for _, names in self.groups for name in names}
        copies = {name: tensor.clone() for name, tensor in self.weights.items()}
        return {name: copy.requires_grad_(name in trained) for name, copy in copies.items()}

    def adamw(self, leaves: Mapping[str, Tensor]) -> torch.optim.Optimizer:
        """torch's AdamW in the state of the checkpoint."""
        groups = [{**s, "params": [leaves[n] for n in names]} for s, names in self.groups]
        return self._loaded(torch.optim.AdamW(groups))

    def slim(
        self, leaves: Mapping[str, Tensor], forms: Mapping[str, Form | str]
    ) -> torch.optim.Optimizer:
        """The plan, from the same state. Raises UsageError for forms that do not fit."""
        held = {name for _, names in self.groups for name in names}
        # A plan may list tensors that are not trained, to be kept as they are.
        forms = {n: form for n, form in forms.items() if n in held or form not in (FULL, "full")}
        groups = [{**s, "params": [(n, leaves[n]) for n in names]} for s, names in self.groups]
        return self._loaded(SlimAdamW(groups, forms))

    def _loaded(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        names = [name for _, group in self.groups for name in group]
        state = {
            i: {key: tensor.clone() for key, tensor in self.state[name].items()}
            for i, name in enumerate(names)
            if name in self.state
        }
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
        return optimizer


def start_of(problem: Problem, snapshot: Snapshot, lr: float | None) -> Start:
    """The start at a snapshot; see `verify` for `lr`.

    Raises ProblemError, CheckpointError and UsageError.
    """
    where = problem.source or None
    found = match(problem.model, snapshot.params.shapes, snapshot.buffers.shapes, where)
    state = _adams(snapshot)
    held = {name: _held(state, name, snapshot.params.shapes.get(name)) for name in found.names}
    groups = _groups(state, found.names)
    rates, told = _rates(snapshot, groups, lr)
    groups = tuple(({**s, "lr": r}, n) for (s, n), r in zip(groups, rates, strict=True))
    read: Callable[[str], Tensor] = lambda name: (  # noqa: E731
        snapshot.params[name] if name in snapshot.params else snapshot.buffers[name]
    )
    device, dtype = snapshot.device, problem.engine.dtype
    fixed = constants(problem.model, found, read)
    return Start(
        placed({name: read(name) for name in found.names}, device, dtype),
        placed(fixed, device, dtype),
        found.names,
        groups,
        {name: _tensors(moments) for name, moments in held.items() if moments is not None},
        max(rates),
        (told, *_limits(state, groups, held)),
    )


def _adams(snapshot: Snapshot) -> OptimizerState:
    state = snapshot.moments
    if state is None:
        raise CheckpointError(
            "The checkpoint holds no optimizer state to train on from.", remedy=SAVE_STATE
        )
    if not state.family.startswith("adam"):
        raise CheckpointError(
            "A plan for Adam's moments is verified from a state of Adam.", found=not_adam(state)
        )
    if not any(has_stepped(state, name) for name in state.state):
        raise CheckpointError(f"{NOT_STEPPED}.", remedy="a later checkpoint")
    if unnamed := [name for name in state.state if name.startswith("param[")]:
        raise CheckpointError(
            "The optimizer state cannot be told apart by parameter.",
            found=f"{unnamed[0]}: {state.naming}",
            remedy="a checkpoint of which the order of the optimizer's parameters is known",
        )
    return state


def _held(state: OptimizerState, name: str, shape: tuple[int, ...] | None) -> Moments | None:
    """None of a tensor that the optimizer has not moved yet."""
    if name not in state.state or not has_stepped(state, name):
        return None
    found = moments_of(state, name, shape)
    if isinstance(found, str) or found.first is None:
        reason = found if isinstance(found, str) else "there is no first moment"
        raise CheckpointError("AdamW cannot go on from this state.", where=name, found=reason)
    return found


def _tensors(moments: Moments) -> dict[str, Tensor]:
    assert moments.first is not None
    steps = moments.steps if math.isfinite(moments.steps) else ENDLESS
    return {
        "step": torch.tensor(float(steps)),
        "exp_avg": moments.first.read(),
        "exp_avg_sq": moments.v(),
    }


def _groups(
    state: OptimizerState, inside: Mapping[str, str]
) -> tuple[tuple[Settings, tuple[str, ...]], ...]:
    groups = []
    for group in state.groups:
        names = tuple(name for name in group.get("params", ()) if name in inside)  # type: ignore[attr-defined]
        settings: Settings = {
            "lr": number(group, "lr", math.nan),
            "betas": betas_of(group),
            "eps": number(group, "eps", 1e-8),
            "weight_decay": number(group, "weight_decay", 0.0),
            "maximize": bool(group.get("maximize", False)),
        }
        if names:
            groups.append((settings, names))
    if not groups:
        raise CheckpointError(
            "The optimizer state holds none of the model's parameters.", found=state.naming
        )
    return tuple(groups)


def _rates(
    snapshot: Snapshot, groups: tuple[tuple[Settings, tuple[str, ...]], ...], lr: float | None
) -> tuple[list[float], str]:
    """The learning rate of each group, and where it is from."""
    stored = [settings["lr"] for settings, _ in groups]
    largest = max((rate for rate in stored if math.isfinite(rate)), default=0.0)
    if lr is not None:
        if not 0.0 < lr < math.inf:
            raise UsageError("A learning rate is positive.", found=str(lr))
        known = largest > 0 and all(map(math.isfinite, stored))
        scaled = [lr * rate / largest if known else lr for rate in stored]
        of = (
            f"the checkpoint's is {largest:.3g}"
            if known
            else "the checkpoint's is zero or not known"
        )
        return scaled, f"The learning rate was set to {lr:.3g} throughout; {of}."
    if not largest > 0 or not all(map(math.isfinite, stored)):
        raise UsageError(
            "The checkpoint's learning rate is zero, or not known, so that nothing would be"
            " trained.",
            found=f"step {snapshot.step}",
            remedy=f"--lr {_peak(snapshot)}",
        )
    return (
        stored,
        f"The learning rate stays at the checkpoint's, {largest:.3g}, without a schedule.",
    )


def _peak(snapshot: Snapshot) -> str:
    curve = None if snapshot.log is None else snapshot.log.curve(Role.learning_rate)
    if curve is None or not len(curve.values) or not max(curve.values) > 0:
        return "with that of the training"
    return f"{max(curve.values):.3g}, the largest in the log"


def _limits(
    state: OptimizerState,
    groups: tuple[tuple[Settings, tuple[str, ...]], ...],
    held: Mapping[str, Moments | None],
) -> tuple[str, ...]:
    told = []
    trained = {name for _, names in groups for name in names}
    if state.estimated:
        told.append(f"The moments are no optimizer's: {state.estimated}.")
    if fresh := [name for name in held if held[name] is None and name in trained]:
        told.append(f"{len(fresh)} tensors start without moments, as {fresh[0]}.")
    if idle := [name for name in held if name not in trained]:
        told.append(f"{len(idle)} tensors are in no group and stay as they are, as {idle[0]}.")
    if any(g.get("amsgrad") for g in state.groups):
        told.append("The run used AMSGrad; both are trained without.")
    coupled = [g for g in state.groups if g.get("decoupled_weight_decay") is False]
    if any(number(group, "weight_decay", 0.0) > 0 for group in coupled):
        told.append("The run's weight decay was part of the gradient; both have it decoupled.")
    return tuple(told)
