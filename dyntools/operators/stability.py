"""The sharpness at which an optimizer stops being stable on a quadratic, from its own settings.

    gradient descent 2/η · heavy ball 2(1+β)/η · with dampening τ  2(1+β)/((1-τ)η)
    Nesterov (2+2β)/((1+2β)η) · Adam on the preconditioned Hessian (2+2β1)/((1-β1)η)

Cohen et al. 2021, arXiv:2103.00065 (appendix B for momentum); 2022, arXiv:2207.14484 for Adam,
whose first moment is heavy ball with dampening τ = β.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from dyntools.checkpoint import OptimizerState
from dyntools.moments import betas_of, number

Group = Mapping[str, object]


def learning_rate(state: OptimizerState) -> float:
    """The largest learning rate of all parameter groups; NaN where none is stored."""
    rates = [number(group, "lr", math.nan) for group in state.groups]
    return max((rate for rate in rates if not math.isnan(rate)), default=math.nan)


def threshold(state: OptimizerState) -> float:
    """The stable sharpness: of the Hessian for SGD, of the preconditioned one for Adam.

    NaN for another optimizer, or at a rate of zero. Of several groups, the smallest.
    """
    found = [_of_group(state.family, group) for group in state.groups]
    return min((value for value in found if not math.isnan(value)), default=math.nan)


def heavy_ball(eta: float, beta: float, *, dampening: float = 0.0) -> float:
    """2(1+β)/((1-τ)η); gradient descent at β = τ = 0."""
    return 2.0 * (1.0 + beta) / ((1.0 - dampening) * eta) if dampening < 1.0 else math.inf


def nesterov(eta: float, beta: float) -> float:
    """(2+2β)/((1+2β)η)."""
    return (2.0 + 2.0 * beta) / ((1.0 + 2.0 * beta) * eta)


def _of_group(family: str, group: Group) -> float:
    eta = number(group, "lr", math.nan)
    if not eta > 0.0:
        return math.nan
    if family.startswith("adam"):
        betas = betas_of(group)
        return math.nan if betas is None else heavy_ball(eta, betas[0], dampening=betas[0])
    if family != "sgd":
        return math.nan
    beta = number(group, "momentum", 0.0)
    if group.get("nesterov"):
        return nesterov(eta, beta)
    # torch ignores the dampening where there is no momentum.
    return heavy_ball(eta, beta, dampening=number(group, "dampening", 0.0) if beta else 0.0)
