"""Validation examples: kept as those of training, named by their hash, never mixed with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dyntools import make_plan, open_run
from dyntools.errors import ProblemError
from dyntools.problem import Problem
from dyntools.problem.record import record, sentence, validation_sentence
from dyntools.problem.validation import problem_of_validation, validation_risk
from dyntools.provenance import identity
from tests.problem.networks import risk_at
from tests.problems import classifier
from tests.small_run import write_small_run

CPU = torch.device("cpu")


def pairs(count: int, seed: int, width: int = 6) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, width, generator=generator)
    return [(x, torch.randint(4, (count,), generator=generator))]


def test_both_probes_are_recorded_and_the_first_as_if_there_were_no_other() -> None:
    alone = classifier()
    both = replace(classifier(), validation=pairs(7, 1))
    assert sentence(both, CPU) == sentence(alone, CPU)
    assert "validation_hash" not in record(alone, CPU)
    assert validation_sentence(alone, CPU) == ""
    told = record(both, CPU)
    assert told["validation_examples"] == 7
    assert validation_sentence(both, CPU) == f"{told['validation_hash']}: 7 examples"
    other = replace(classifier(), validation=pairs(7, 2))
    assert record(other, CPU)["validation_hash"] != told["validation_hash"]


def test_other_validation_examples_are_another_analysis(tmp_path: Path) -> None:
    run = open_run(write_small_run(tmp_path / "run", (0, 10)))
    given = [replace(classifier(), validation=held) for held in (None, pairs(7, 1), pairs(7, 2))]
    plans = [make_plan(run, ["gradient_norm"], problem=problem) for problem in given]
    assert len({identity(run, plan, CPU, [0]) for plan in plans}) == 3


def test_the_loss_is_that_of_a_problem_on_those_batches() -> None:
    given = replace(classifier(), validation=pairs(9, 1))
    x, y = given.validation[0]
    logits = given.model(x.double()).detach().numpy()
    shifted = logits - logits.max(1, keepdims=True)
    terms = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(9), y.numpy()]
    risk = risk_at(given)
    found = validation_risk(risk)
    assert found.loss() == pytest.approx(terms.mean(), rel=1e-12)
    assert found.problem is problem_of_validation(given)
    assert found.problem.validation is None
    assert torch.equal(found.theta, risk.theta)


def refused(validation: object, words: str) -> None:
    risk = risk_at(replace(classifier(), validation=validation))
    with pytest.raises(ProblemError, match=words) as caught:
        validation_risk(risk)
    assert caught.value.remedy


def test_what_is_no_validation_is_refused() -> None:
    refused(None, "no validation batches")
    refused(list(classifier().batches), "are those of training")
    refused([], "has no examples")
    refused([(torch.full((3, 6), torch.nan), torch.zeros(3, dtype=torch.int64))], "not finite")
    refused(iter(pairs(5, 1)), "Two passes")


def test_a_loader_is_drawn_once_for_each_and_labels_of_both_count() -> None:
    model = nn.Linear(6, 4)
    many = pairs(4, 0) + pairs(4, 1) + pairs(4, 2)
    found = Problem.classification(model, many, batches=2, validation=pairs(5, 3) + many)
    assert [len(batch[1]) for batch in found.validation] == [5, 4]
    beyond = [(torch.zeros(2, 6), torch.tensor([0, 4]))]
    with pytest.raises(ProblemError, match="no logits of these labels"):
        risk_at(Problem.classification(model, many, validation=beyond))
    numbers = [(torch.zeros(2, 6), torch.tensor([[0.0], [torch.inf]]))]
    fine = [(torch.ones(2, 6), torch.zeros(2, 1))]
    with pytest.raises(ProblemError, match="not finite"):
        Problem.regression(nn.Linear(6, 1), fine, validation=numbers)


def test_tokens_are_cut_alike_from_a_row_and_from_a_file(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Embedding(11, 4), nn.Linear(4, 11))
    row, other = torch.arange(60) % 11, (3 * torch.arange(33)) % 11
    found = Problem.language_model(model, row, context=8, examples=3, validation=other)
    np.save(tmp_path / "ids.npy", other.numpy())
    filed = Problem.language_model(
        model, row, context=8, examples=3, validation=tmp_path / "ids.npy"
    )
    for one in (found, filed):
        (batch,) = one.validation
        assert torch.equal(batch["input_ids"], other[:24].view(3, 8))
        assert torch.equal(batch["labels"], batch["input_ids"])
