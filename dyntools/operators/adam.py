"""The Hessian as Adam sees it: preconditioned by its own second moments.

    P^-1/2 H P^-1/2,    P = (1 - β1^t) diag( sqrt(v / (1 - β2^t)) + eps )

v is `exp_avg_sq` of the checkpoint. Adam with momentum β1 is stable along a direction while the
eigenvalue stays below (2 + 2 β1) / ((1 - β1) η), 38/η for β1 = 0.9: Cohen et al. 2022, Adaptive
gradient methods at the edge of stability, arXiv:2207.14484. Decoupled weight decay is no part
of it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dyntools.checkpoint import OptimizerState
from dyntools.errors import CheckpointError
from dyntools.linalg.operator import Operator
from dyntools.moments import NOT_STEPPED, Moments, has_stepped, moments_of, not_adam
from dyntools.operators.arithmetic import scaled
from dyntools.operators.hessian import hessian
from dyntools.problem.risk import Risk


def preconditioned_hessian(risk: Risk, state: OptimizerState) -> Operator:
    """P^-1/2 H P^-1/2. Raises CheckpointError when the state does not cover the parameters."""
    return scaled(hessian(risk), preconditioner(risk, state).rsqrt())


def preconditioner(risk: Risk, state: OptimizerState) -> Tensor:
    """P (n,), positive, in the layout and precision of the risk."""
    if reason := unfit(state):
        raise CheckpointError(reason)
    parts = []
    for name, shape in zip(risk.layout.names, risk.layout.shapes, strict=True):
        moments = moments_of(state, name, shape)
        if isinstance(moments, str):
            raise CheckpointError(
                "The optimizer state has no second moment that fits this parameter.",
                where=name,
                found=f"{name}: {moments}",
            )
        part = _of_tensor(moments)
        if not float(part.min()) > 0.0:
            raise CheckpointError(
                "Adam's preconditioner is zero or NaN for some weights.",
                where=name,
                found=f"{name}, eps {moments.eps:g}",
            )
        parts.append(part.reshape(-1).to(risk.device, risk.dtype))
    return torch.cat(parts)


def unfit(state: OptimizerState) -> str:
    """Why this optimizer has no preconditioner, "" where it has one."""
    if not state.family.startswith("adam"):
        return not_adam(state)
    stepped = [has_stepped(state, name) for name in state.state]
    return "" if stepped and all(stepped) else NOT_STEPPED


def _of_tensor(moments: Moments) -> Tensor:
    root = moments.v_hat().sqrt_().add_(moments.eps)
    return root.mul_(1.0 - moments.beta1**moments.steps)
