"""Admission: whether a problem fits a run and its plan, asked before anything is written."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dyntools.errors import CheckpointError, ProblemError
from dyntools.plan import Plan
from dyntools.problem.guards import check_gradient, check_products
from dyntools.problem.second_moments import refuse_too_large
from dyntools.problem.user_code import blamed
from dyntools.problem.validation import validation_risk
from dyntools.run import Run, snapshots


def admit(run: Run, plan: Plan, steps: Sequence[int], device: torch.device) -> None:
    """Bind the problem to the first step that can be read, the same one for every shard.

    One checkpoint may be at fault and not the problem (a run that starts or ends in NaN): only when
    the last step refuses it too is it refused. At other steps that is a row with its reason. Of a
    plan without products no second derivative is asked for, of one of activations alone none.
    """
    if plan.problem is None:
        return
    refused: list[ProblemError] = []
    for snapshot in snapshots(run, steps=steps, device=device, problem=plan.problem):
        if refused and snapshot.step != max(steps):
            continue
        try:
            with blamed(plan.problem):
                risk = snapshot.risk()
                if any(task.metric.products for task in plan.of_weights):
                    check_products(risk)
                if _takes_gradients(plan):
                    check_gradient(risk)
                if any("validation" in task.metric.needs for task in plan.of_weights):
                    validation_risk(risk)
                if plan.estimate is not None:
                    refuse_too_large(risk, plan.estimate)
            return
        except CheckpointError:
            continue  # measuring it will say so
        except ProblemError as error:
            refused.append(error)
        finally:
            snapshot.release()
    if refused:
        raise refused[0]


def _takes_gradients(plan: Plan) -> bool:
    """Whether anything but the forward pass is used; whoever does it unawares is asked then."""
    of_loss = [t.metric for t in plan.of_weights if {"problem", "gradients"} & {*t.metric.needs}]
    return plan.estimate is not None or any(metric.group != "activations" for metric in of_loss)
