"""The Hessian as Adam sees it: preconditioned by its own second moments.

    P^-1/2 H P^-1/2,    P = (1 - β1^t) diag( sqrt(v / (1 - β2^t)) + eps )

v is `exp_avg_sq` of the checkpoint. Adam with momentum β1 is stable along a direction while the
eigenvalue stays below (2 + 2 β1) / ((1 - β1) η), 38/η for β1 = 0.9: Cohen et al. 2022, Adaptive
gradient methods at the edge of stability, arXiv:2207.14484. Decoupled weight decay is no part
of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from dyntools.checkpoint import Entry, OptimizerState
from dyntools.errors import CheckpointError
from dyntools.linalg.operator import Operator
from dyntools.operators.arithmetic import scaled
from dyntools.operators.hessian import hessian
from dyntools.problem.risk import Risk

Group = Mapping[str, object]


def preconditioned_hessian(risk: Risk, state: OptimizerState) -> Operator:
    """P^-1/2 H P^-1/2. Raises CheckpointError when the state does not cover the parameters."""
    return scaled(hessian(risk), preconditioner(risk, state).rsqrt())


def preconditioner(risk: Risk, state: OptimizerState) -> Tensor:
    """P (n,), positive, in the layout and precision of the risk."""
    if reason := unfit(state):
        raise CheckpointError(reason)
    groups = {name: group for group in state.groups for name in _members(group)}
    parts = []
    for name, shape in zip(risk.layout.names, risk.layout.shapes, strict=True):
        entries, group = state.state.get(name), groups.get(name)
        if entries is None or group is None or "exp_avg_sq" not in entries:
            raise CheckpointError(
                "The optimizer state has no second moment for this parameter.",
                where=name,
                found=f"{name}; {state.naming}",
            )
        part = _of_tensor(entries, group)
        if tuple(part.shape) != shape:
            raise CheckpointError(
                "A second moment has another shape than its parameter.",
                where=name,
                found=f"{name}: {tuple(part.shape)}, not {shape}",
            )
        if not float(part.min()) > 0.0:
            raise CheckpointError(
                "Adam's preconditioner is zero or NaN for some weights.",
                where=name,
                found=f"{name}, eps {_number(group, 'eps', 1e-8):g}",
            )
        parts.append(part.reshape(-1).to(risk.device, risk.dtype))
    return torch.cat(parts)


def unfit(state: OptimizerState) -> str:
    """Why this optimizer has no preconditioner, "" where it has one."""
    if not state.family.startswith("adam"):
        return (
            f"the optimizer is not Adam but {state.family}: it has no second moment of each weight"
        )
    if any(_steps(entries, {}) == 0 for entries in state.state.values()) or not state.state:
        return "Adam has not taken a step yet, so it has no second moments"
    return ""


def _of_tensor(entries: Mapping[str, Entry], group: Group) -> Tensor:
    """P of one parameter in float64: where v is near 1e-24 its root is not yet below eps."""
    beta1, beta2 = cast("tuple[float, float]", group.get("betas", (0.9, 0.999)))
    kept = (
        "max_exp_avg_sq" if group.get("amsgrad") and "max_exp_avg_sq" in entries else "exp_avg_sq"
    )
    steps = _steps(entries, group)
    root = torch.sqrt(entries[kept].read().double() / (1.0 - beta2**steps))
    return root.add_(_number(group, "eps", 1e-8)).mul_(1.0 - beta1**steps)


def _steps(entries: Mapping[str, Entry], group: Group) -> float:
    """t. Of optimizers that store it nowhere, infinite: the corrections of bias are then gone."""
    if "step" in entries:
        return float(entries["step"].read())
    return _number(group, "step", float("inf"))


def _members(group: Group) -> tuple[str, ...]:
    return cast("tuple[str, ...]", group.get("params", ()))


def _number(group: Group, key: str, default: float) -> float:
    return float(cast(float, group.get(key, default)))
