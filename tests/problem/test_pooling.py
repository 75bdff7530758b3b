"""Memory that runs out in spite of the plan costs time, not the run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from dyntools.errors import ProblemError
from dyntools.problem import Problem
from dyntools.problem.guards import check_products
from tests.problem.networks import risk_at
from tests.problems import classifier

ERRORS = (
    lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    lambda: RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
)


def failing(above: int, error: Any) -> Problem:
    """Memory for pieces of up to `above` examples, once the guards are passed."""
    problem = classifier(96, cut=48)

    def loss(outputs: Tensor, batch: Any) -> Tensor:
        if problem.model.armed and len(batch[1]) > above:
            raise error()
        return problem.loss(outputs, batch)

    problem.model.armed = False
    return replace(problem, loss=loss)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("above", [1, 10])
def test_pieces_are_halved_until_they_fit(error: Any, above: int) -> None:
    truth = risk_at(classifier(96, cut=48))
    ones = torch.ones(truth.size, dtype=torch.float64)
    risk = risk_at(problem := failing(above, error))
    check_products(risk)
    problem.model.armed = True
    assert torch.allclose(risk.product(ones), truth.product(ones), rtol=1e-12)
    assert max(p.stop - p.start for p in risk.pieces.mine) <= above
    assert torch.allclose(risk.gradient(), truth.gradient(), rtol=1e-12)
    assert risk.loss() == pytest.approx(truth.loss(), rel=1e-13)


def test_a_single_example_beyond_memory_is_said() -> None:
    risk = risk_at(problem := failing(0, ERRORS[0]))
    problem.model.armed = True
    with pytest.raises(ProblemError, match="Memory ran out with a single example") as caught:
        risk.loss()
    assert caught.value.remedy


def test_other_errors_are_not_taken_for_it() -> None:
    risk = risk_at(problem := failing(0, lambda: RuntimeError("something else")))
    problem.model.armed = True
    with pytest.raises(RuntimeError, match="something else"):
        risk.gradient()


def test_the_gradient_of_kept_graphs_is_the_gradient() -> None:
    risk, other = risk_at(classifier()), risk_at(classifier())
    risk.product(risk.theta)
    assert torch.allclose(risk.gradient(), other.gradient(), rtol=1e-13)
    risk.product(risk.theta, "gauss_newton")
    assert torch.allclose(risk.gradient(), other.gradient(), rtol=1e-13)


def test_plan_and_trials_are_made_once_for_all_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    from dyntools.problem import pooling

    made = []
    measured = pooling.measured
    monkeypatch.setattr(pooling, "measured", lambda *a: (made.append(1), measured(*a))[1])
    problem = classifier()
    for _ in range(3):
        risk_at(problem).loss()
    assert len(made) == 1
