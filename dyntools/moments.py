"""Moments: what Adam knows of one tensor, with the settings it was trained with.

    m ← β1 m + (1-β1) g        m̂ = m / (1-β1^t)
    v ← β2 v + (1-β2) g²       v̂ = v / (1-β2^t)        update = m̂ / (√v̂ + eps)

Kingma & Ba 2015, Adam, arXiv:1412.6980. v averages n_eff = (Σw)²/Σw² squared gradients, with
w_i = (1-β2) β2^i: few in the first steps, (1+β2)/(1-β2) in the end. Nothing is read before it is
asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from dyntools.checkpoint import Entry, OptimizerState

if TYPE_CHECKING:
    from torch import Tensor

Group = Mapping[str, object]
NOT_STEPPED = "Adam has not taken a step yet, so it has no second moments"


@dataclass(frozen=True)
class Moments:
    """The state of one parameter.

    shape: of the parameter. steps: t, infinite where the optimizer stores it nowhere; the
        corrections of bias are then gone.
    lr: NaN where the state holds none.
    """

    shape: tuple[int, ...]
    first: Entry | None
    second: Entry
    largest: Entry | None  # of AMSGrad
    steps: float
    lr: float
    beta1: float
    beta2: float
    eps: float
    weight_decay: float

    @property
    def n_eff(self) -> float:
        """How many squared gradients the second moment is the mean of."""
        return effective_samples(self.beta2, self.steps)

    def v(self) -> Tensor:
        """exp_avg_sq as stored."""
        return self.second.read()

    def v_hat(self) -> Tensor:
        """v̂ in float64: where v is near 1e-24 its root is not yet below eps. AMSGrad's largest v,
        where that is what the update is divided by."""
        stored = self.largest or self.second
        return _float64(stored.read()).div_(1.0 - self.beta2**self.steps)

    def m_hat(self) -> Tensor | None:
        """m̂ in float64; None where the optimizer keeps no first moment."""
        if self.first is None:
            return None
        return _float64(self.first.read()).div_(1.0 - self.beta1**self.steps)


def effective_samples(beta2: float, steps: float) -> float:
    """n_eff(t) = (1-β2^t)(1+β2) / ((1+β2^t)(1-β2)); 1 at t = 1."""
    decayed = float(beta2**steps)
    return (1.0 - decayed) * (1.0 + beta2) / ((1.0 + decayed) * (1.0 - beta2))


def moments_of(state: OptimizerState, name: str, shape: tuple[int, ...] | None) -> Moments | str:
    """The moments of a parameter, or the sentence that says why there are none.

    shape: None where it is not known, as for a state without a name.
    """
    if not state.family.startswith("adam"):
        return not_adam(state)
    entries = state.state.get(name)
    if entries is None:
        return (
            f"the optimizer holds no state for it ({state.naming})" if state.state else NOT_STEPPED
        )
    if "exp_avg_sq" not in entries:
        return _elsewhere(entries)
    group = _group_of(state, name)
    steps, betas = _steps(entries, group), betas_of(group)
    if not steps > 0.0:
        return f"its number of steps is {steps:g}" if steps else NOT_STEPPED
    if betas is None:
        return f"the betas of its optimizer are no two shares: {group.get('betas')!r:.60}"
    second, first = entries["exp_avg_sq"], entries.get("exp_avg")
    shape = shape or (second if first is None else first).shape
    if second.shape != shape:
        if math.prod(second.shape) < math.prod(shape):
            return f"its second moment is compressed already: {second.shape} for {shape}"
        return f"its second moment has another shape: {second.shape} for {shape}"
    return Moments(
        shape,
        first,
        second,
        entries.get("max_exp_avg_sq") if group.get("amsgrad") else None,
        steps,
        number(group, "lr", math.nan),
        *betas,
        number(group, "eps", 1e-8),
        number(group, "weight_decay", 0.0),
    )


def _elsewhere(entries: Mapping[str, Entry]) -> str:
    """Why there is no `exp_avg_sq`."""
    if {"exp_avg_sq_row", "exp_avg_sq_col"} <= set(entries):
        return "its second moment is compressed already: means over rows and over columns"
    if "vmean" in entries:
        return "its second moment is compressed already: one number a block (Adam-mini)"
    return "the optimizer state has no second moment of each weight"


def has_moments(state: OptimizerState) -> bool:
    """Whether there are second moments of Adam in it, in whatever form."""
    return state.family.startswith("adam") and bool(state.state)


def has_stepped(state: OptimizerState, name: str) -> bool:
    """Whether the optimizer has moved this parameter at least once."""
    return _steps(state.state[name], _group_of(state, name)) > 0


def not_adam(state: OptimizerState) -> str:
    """Of a state that is not Adam's, what it is."""
    what = f"the optimizer is not Adam but {state.family}"
    if state.family == "adafactor":
        return f"{what}: its second moments are factored into rows and columns already"
    if state.family == "projected":
        return (
            "the optimizer's moments are those of projected or rotated gradients (as of GaLore,"
            " APOLLO or SOAP), not of single weights"
        )
    if state.family == "unknown":
        held = ", ".join(sorted({key for entries in state.state.values() for key in entries}))
        return f"the optimizer is not known to be Adam: its state holds {held or 'nothing'}"
    return f"{what}: it has no second moment of each weight"


def betas_of(group: Group) -> tuple[float, float] | None:
    """β1 and β2 of a group, torch's defaults where it names none; None for what is no such pair.

    Relatives of Adam with three of them (Adan, AdEMAMix) mean other averages by them.
    """
    betas = group.get("betas", (0.9, 0.999))
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        return None
    if not all(isinstance(beta, int | float) and 0.0 <= beta < 1.0 for beta in betas):
        return None
    return float(betas[0]), float(betas[1])


def number(group: Group, key: str, default: float) -> float:
    """A setting of a group; the default where it is none, or None as Adafactor's learning rate."""
    value = group.get(key, default)
    return float(value) if isinstance(value, int | float) else default


def _float64(tensor: Tensor) -> Tensor:
    """A copy, whatever the tensor is, which may then be worked on in place, also flattened.

    Contiguous: of a copy in another order, as of channels_last, `reshape(-1)` would be no view.
    """
    import torch

    # Accelerators other than CUDA have no float64.
    device = tensor.device if tensor.is_cuda else torch.device("cpu")
    return tensor.to(device, torch.float64, copy=True, memory_format=torch.contiguous_format)


def _steps(entries: Mapping[str, Entry], group: Group) -> float:
    """t; NaN where what is stored as such is not one number."""
    if "step" not in entries:
        return number(group, "step", math.inf)
    step = entries["step"]
    return float(step.read()) if math.prod(step.shape) == 1 else math.nan


def _group_of(state: OptimizerState, name: str) -> Group:
    """The group of a parameter; of one that is in none, no settings, so that defaults hold."""
    return next((group for group in state.groups if name in _members(group)), {})


def _members(group: Group) -> tuple[str, ...]:
    return cast("tuple[str, ...]", group.get("params", ()))
