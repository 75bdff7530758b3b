"""Binding: a problem at the tensors of a checkpoint, as a `Risk`; where user code meets files."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from dyntools.errors import ProblemError
from dyntools.problem.guards import check_gradient, check_loss, check_products
from dyntools.problem.matching import constants, match
from dyntools.problem.parallel import refuse_parallel
from dyntools.problem.probe import Probe, probe_of, refuse_other_examples
from dyntools.problem.problem import Problem
from dyntools.problem.risk import Risk
from dyntools.problem.sharded import ShardedRisk


def risk_of(
    problem: Problem,
    read: Callable[[str], Tensor],
    shapes: Mapping[str, tuple[int, ...]],
    others: Mapping[str, tuple[int, ...]],
    device: torch.device,
) -> Risk:
    """The problem at these parameters, the guards of its loss passed; the others wait.

    read: a tensor of a checkpoint by its name. shapes, others: those of its parameters, and of all
        else that it holds.
    Raises ProblemError when they do not fit the model, or when a guard refuses the problem.
    """
    with problem.ranks.agreeing("binding"):
        if not problem.engine.dtype.is_floating_point:
            raise ProblemError(f"Products need a floating-point dtype, not {problem.engine.dtype}.")
        refuse_parallel(problem.model, problem.source or None)
        found = match(problem.model, shapes, others, problem.source or None)
        probe = probe_of(problem, device, problem.engine.dtype)
        fixed = constants(problem.model, found, read)
        risk = _at(problem, probe, read, fixed, found.names, {**others, **shapes})
    refuse_other_examples(problem, probe)
    with problem.ranks.agreeing("guards"):
        check_loss(risk)
    risk.gradient_guard, risk.guard = check_gradient, check_products
    return risk


def _at(
    problem: Problem,
    probe: Probe,
    read: Callable[[str], Tensor],
    fixed: Mapping[str, Tensor],
    names: Mapping[str, str],
    shapes: Mapping[str, tuple[int, ...]],
) -> Risk:
    if problem.engine.sharded and problem.ranks.count > 1:
        wanted = {name: shapes[name] for name in names}
        return ShardedRisk.of(problem, probe, wanted, read, fixed, names)
    return Risk(problem, probe, {name: read(name) for name in names}, fixed, names)
