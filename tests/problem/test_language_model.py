"""A language model on token ids: the shift, the cut, what does not count, and what is refused."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dyntools.errors import ProblemError
from dyntools.problem import Problem
from tests.problem.networks import risk_at
from tests.processes import FIXTURES

VOCABULARY, WIDTH = 7, 4
IDS = torch.randint(VOCABULARY, (50,), generator=torch.Generator().manual_seed(0))


@dataclass
class ModelOutput:
    logits: Tensor


class Bigram(nn.Module):
    """Logits of the next token from this one alone; `form` is how they are given."""

    def __init__(self, form: str = "tensor") -> None:
        super().__init__()
        self.form = form
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.table, self.head = nn.Embedding(VOCABULARY, WIDTH), nn.Linear(WIDTH, VOCABULARY)

    def forward(self, idx: Tensor, targets: Tensor | None = None) -> Any:
        z = self.head(self.table(idx))
        if self.form == "nanogpt":  # all positions only beside targets, as there
            return (z, None) if targets is not None else (z[:, [-1]], None)
        return {"tensor": z, "tuple": (z, None), "flat": z.flatten(0, 1)}[self.form]


class Named(Bigram):
    """With the arguments of a model of Transformers."""

    def forward(  # type: ignore[override]
        self, input_ids: Tensor, attention_mask: Tensor | None = None, use_cache: bool = True
    ) -> ModelOutput:
        assert not use_cache
        return ModelOutput(self.head(self.table(input_ids)))


def loss(problem: Problem) -> float:
    return risk_at(replace(problem, model=deepcopy(problem.model))).loss()


def expected(rows: Tensor, counted: Tensor | None = None) -> float:
    """The mean of -log p over pairs of neighbours (n, T), of those whose second one counts."""
    model = Bigram()
    table, weight, bias = (p.detach().double().numpy() for p in model.parameters())
    z = table[rows[:, :-1].numpy()] @ weight.T + bias
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    each = -np.take_along_axis(log_p, rows[:, 1:, None].numpy(), -1)[..., 0]
    keep = np.ones(each.shape, bool) if counted is None else counted[:, 1:].numpy()
    return float(each[keep].mean())


def test_a_row_of_ids_is_cut_from_the_front() -> None:
    problem = Problem.language_model(Bigram(), IDS, context=8, examples=5)
    assert (
        torch.cat([b["input_ids"] for b in problem.batches]).tolist()
        == IDS[:40].view(5, 8).tolist()
    )
    assert loss(problem) == pytest.approx(expected(IDS[:40].view(5, 8)), rel=1e-6)
    assert sum(problem.terms(batch) for batch in problem.batches) == 5 * 7


def test_ids_from_anywhere_are_the_same_examples(tmp_path: Path) -> None:
    np.save(tmp_path / "ids.npy", IDS.numpy())
    IDS.numpy().astype(np.uint16).tofile(tmp_path / "ids.bin")
    whole = expected(IDS[:48].view(6, 8))
    for tokens in (
        IDS,
        IDS.numpy(),
        IDS[:48].view(6, 8).int(),
        str(tmp_path / "ids.npy"),
        tmp_path / "ids.bin",
        [IDS[:32].view(4, 8), IDS[32:48].view(2, 8)],
    ):
        context = 8 if not isinstance(tokens, list) else None
        found = loss(Problem.language_model(Bigram(), tokens, context=context))
        assert found == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize("model", [Bigram("tuple"), Named()])
def test_outputs_in_the_usual_wrappings(model: nn.Module) -> None:
    problem = Problem.language_model(model, IDS, context=10)
    assert loss(problem) == pytest.approx(expected(IDS.view(5, 10)), rel=1e-6)


@pytest.mark.parametrize("stated", [True, False])
def test_padding_of_a_loader_does_not_count(stated: bool) -> None:
    """By labels of -100, as Transformers' collators give them, or by the attention mask."""
    rows, mask = IDS[:24].view(3, 8), torch.ones(3, 8, dtype=torch.long)
    mask[0, 5:] = mask[1, 2:] = 0
    labels = {"labels": rows.masked_fill(mask == 0, -100)} if stated else {}
    batch = {"input_ids": rows, "attention_mask": mask, **labels}
    problem = Problem.language_model(Named(), [batch])
    assert loss(problem) == pytest.approx(expected(rows, mask == 1), rel=1e-6)
    assert [problem.terms(b) for b in problem.batches] == [4 + 1 + 7]


def test_a_model_like_nanogpts_is_told_how_to_give_all_logits() -> None:
    with pytest.raises(ProblemError, match="last position only") as caught:
        loss(Problem.language_model(Bigram("nanogpt"), IDS, context=8))
    assert "model(batch['input_ids'], batch['labels'])[0]" in str(caught.value)
    problem = Problem.language_model(
        Bigram("nanogpt"),
        IDS,
        context=10,
        forward=lambda model, batch: model(batch["input_ids"], batch["labels"])[0],
    )
    assert loss(problem) == pytest.approx(expected(IDS.view(5, 10)), rel=1e-6)


def test_logits_of_another_shape_are_told() -> None:
    with pytest.raises(ProblemError, match="no logits of every token") as caught:
        loss(Problem.language_model(Bigram("flat"), IDS, context=8))
    assert f", {VOCABULARY}) float32" in str(caught.value)


@pytest.mark.parametrize(
    ("tokens", "context", "sentence", "found"),
    [
        (IDS, None, "must be said", "context=None"),
        (IDS, 1, "must be said", "context=1"),
        (IDS[:48].view(6, 8), 4, "to another length", "(6, 8) int64, context=4"),
        (IDS.float(), 8, "whole numbers", "(50,) float32"),
        (IDS.view(5, 5, 2), 2, "whole numbers", "(5, 5, 2) int64"),
        (IDS + 1, 8, "not those of this model", "ids from 1 to 7, a vocabulary of 7"),
        (IDS[:1], 8, "too few tokens", "1"),
        ("missing.npy", 8, "cannot be read", "missing.npy"),
        ([(IDS, IDS)], None, "not to be understood", "tuple of (50,) int64; (50,) int64"),
        ([{"ids": IDS}], None, "not to be understood", "{ids: (50,) int64}"),
    ],
)
def test_what_are_no_tokens_is_told(tokens: Any, context: Any, sentence: str, found: str) -> None:
    with pytest.raises(ProblemError, match=sentence) as caught:
        Problem.language_model(Bigram(), tokens, context=context)
    assert found in str(caught.value)


def test_a_folder_of_hugging_face_asks_for_a_text() -> None:
    with pytest.raises(ProblemError, match="needs a text"):
        Problem.from_huggingface(FIXTURES / "runs/tiny-gpt/checkpoint-300")


def test_a_folder_of_hugging_face_is_the_problem_of_the_option_text() -> None:
    pytest.importorskip("transformers", reason="the extra `text` is not installed")
    run = FIXTURES / "runs/tiny-gpt"
    problem = Problem.from_huggingface(run / "checkpoint-300", run / "text.txt", examples=20)
    assert [len(batch["input_ids"]) for batch in problem.batches] == [8, 8, 4]
    assert problem.source == f"--text {run / 'text.txt'}"
    ids = torch.cat([batch["input_ids"] for batch in problem.batches])
    same = Problem.language_model(problem.model, ids)
    assert loss(same) == pytest.approx(loss(problem), rel=1e-6)
