"""Validation: the same parameters on examples held out from training, on the same footing.

Model, loss, weights, mode, precision, memory and processes are those of the problem; the examples
alone are others. They pass the guards of the loss as those of training do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from dyntools.errors import ProblemError
from dyntools.problem.guards import check_loss
from dyntools.problem.probe import Probe, probe_of, refuse_other_examples
from dyntools.problem.problem import Problem

if TYPE_CHECKING:
    from dyntools.problem.risk import Risk


def problem_of_validation(problem: Problem) -> Problem | None:
    """The problem on its validation batches, the same object each time; None without any."""
    if problem.validation is None:
        return None
    batches = problem.validation
    return problem.once(  # type: ignore[no-any-return]
        "validation", lambda: replace(problem, batches=batches, validation=None)
    )


def validation_probe(problem: Problem, device: torch.device) -> Probe | None:
    """Its examples. Raises ProblemError as `probe_of`."""
    other = problem_of_validation(problem)
    return None if other is None else probe_of(other, device, problem.engine.dtype)


def validation_risk(risk: Risk) -> Risk:
    """The parameters of a risk on the validation batches of its problem.

    Raises ProblemError when there are none, when a guard refuses them, or when they are those of
    the training probe, of which no gap can be told.
    """
    problem, ranks = risk.problem, risk.problem.ranks
    other = problem_of_validation(problem)
    if other is None:
        raise ProblemError(
            "The problem has no validation batches.",
            where=problem.source or None,
            remedy="Problem(…, validation=batches)",
        )
    with ranks.agreeing("binding of validation"):
        probe = probe_of(other, risk.device, risk.dtype)
        if probe.digest == risk.probe.digest:
            raise ProblemError(
                "The validation examples are those of training.",
                where=problem.source or None,
                found=f"the hash {probe.digest} of both",
                remedy="examples that the run was not trained on",
            )
        found = risk.over(other, probe)
    refuse_other_examples(other, probe)
    with ranks.agreeing("guards of validation"):
        check_loss(found)
    return found
