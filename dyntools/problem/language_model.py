"""Language models: the problem of predicting each token from those before it.

    L = mean of -log p(token_t | tokens before t) over all t but the first of an example

Batches are dictionaries of `input_ids` and `labels`, both (n, T) and not shifted; labels of -100 do
not count, which is how Transformers marks padding and prompts.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dyntools.errors import ProblemError
from dyntools.problem.batches import Batch
from dyntools.problem.fixed_batches import described, fixed_batches
from dyntools.problem.precision import without_downcasts
from dyntools.problem.problem import Problem, called
from dyntools.problem.supervised import Forward, tensor_of
from dyntools.problem.tokens import Words, blocks, cut

ROWS = 8  # examples of a batch; memory cuts them further
IGNORED = -100  # of torch's cross-entropy

Tokens = str | Path | Tensor | NDArray[Any] | Iterable[Batch]


def language_model(
    model: nn.Module,
    tokens: Tokens,
    *,
    context: int | None,
    examples: int,
    batches: int | None,
    forward: Forward | None,
    validation: Tokens | None = None,
) -> Problem:
    """See `Problem.language_model`."""
    vocabulary = vocabulary_of(model)

    def cut_up(tokens: Tokens) -> list[Batch]:
        if isinstance(tokens, str | Path | Tensor | np.ndarray):
            return in_batches(_examples(tokens, context, examples, vocabulary))
        return [_unshifted(batch) for batch in fixed_batches(tokens, batches)]

    def outputs(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        with without_downcasts(next(model.parameters()).dtype):
            return tensor_of((forward or _logits)(model, batch))

    held_out = None if validation is None else cut_up(validation)
    return Problem(model, cut_up(tokens), next_token, forward=outputs, validation=held_out)


def in_batches(examples: Tensor) -> list[Batch]:
    """Token ids (examples, context) as batches with their labels, which are not shifted."""
    return [{"input_ids": part, "labels": part} for part in torch.split(examples, ROWS)]


def next_token(logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """The shifted cross-entropy, as Transformers takes it but in the dtype of the logits (n, T, V).

    Raises ProblemError when the logits are not those of every position.
    """
    labels = batch["labels"]
    if logits.ndim != 3 or logits.shape[:2] != labels.shape:
        last = logits.ndim == 3 and logits.shape[1] == 1
        raise ProblemError(
            "The model gives logits of the last position only."
            if last
            else "The outputs of the model are no logits of every token.",
            found=f"outputs {described(logits)}, tokens {described(labels)}",
            remedy="forward=lambda model, batch: model(batch['input_ids'], batch['labels'])[0]"
            " for a model like nanoGPT's, which gives all of them beside targets"
            if last
            else "forward=lambda model, batch: …, which returns (examples, tokens, vocabulary)",
        )
    return cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())


def vocabulary_of(model: nn.Module) -> int | None:
    """How many token ids a model knows: `config.vocab_size`, else its largest embedding."""
    told = getattr(getattr(model, "config", None), "vocab_size", None)
    if isinstance(told, int):
        return told
    tables = [m.num_embeddings for m in model.modules() if isinstance(m, nn.Embedding)]
    return max(tables, default=None)


def _logits(model: nn.Module, batch: Mapping[str, Tensor]) -> Any:
    """Named inputs for a model that has `input_ids`, and the ids alone for any other."""
    names = inspect.signature(model.forward).parameters
    if "input_ids" not in names:
        return model(batch["input_ids"])
    inputs: dict[str, Any] = {k: v for k, v in batch.items() if k != "labels"}
    if "use_cache" in names:
        inputs["use_cache"] = False
    return called(model, inputs)


def _examples(
    tokens: str | Path | Tensor | NDArray[Any],
    context: int | None,
    examples: int,
    vocabulary: int | None,
) -> Tensor:
    """Token ids (examples, context) from a file, from a row of ids, or from examples as they are"""
    if isinstance(tokens, str | Path):
        words = Words(tokens=str(tokens), examples=examples)
        return blocks(words, Path(), _asked(context), vocabulary)
    ids = torch.as_tensor(tokens).detach().cpu()
    if ids.is_floating_point() or ids.dtype == torch.bool or ids.ndim not in (1, 2):
        raise ProblemError("Tokens are whole numbers, (N) or (n, T).", found=described(ids))
    if ids.ndim == 2:
        if context not in (None, ids.shape[1]):
            raise ProblemError(
                "The examples are cut already, and to another length.",
                found=f"tokens {described(ids)}, context={context}",
                remedy="context=None, or tokens.flatten()",
            )
        context, ids = ids.shape[1], ids[:examples].flatten()
    context = _asked(context)
    wanted = ids[: context * examples].numpy().astype(np.int64)
    return cut(wanted, context, vocabulary, "the tokens given")


def _asked(context: int | None) -> int:
    if context is None or context < 2:
        raise ProblemError(
            "How many tokens an example has must be said.",
            found=f"context={context}",
            remedy="context=1024: at least 2, and at most the positions of the model",
        )
    return context


def _unshifted(batch: Batch) -> dict[str, Any]:
    """A batch of a loader with its labels. Raises ProblemError for what is no batch of tokens."""
    if isinstance(batch, Tensor):
        batch = {"input_ids": batch}
    ids = batch.get("input_ids") if isinstance(batch, Mapping) else None
    if not isinstance(ids, Tensor) or ids.ndim != 2 or ids.is_floating_point():
        raise ProblemError(
            "A batch of a language model is not to be understood.",
            found=described(batch),
            remedy="token ids (n, T), or a dictionary with `input_ids`, and `labels` that are not"
            " shifted",
        )
    if "labels" in batch:
        return dict(batch)
    mask = batch.get("attention_mask")
    labels = ids.long() if mask is None else ids.long().masked_fill(mask == 0, IGNORED)
    return {**batch, "labels": labels}
