"""Problem: the empirical risk behind a run, as its architecture, fixed batches and a mean loss.

    L(θ) = Σ_b w_b · loss(model_θ(batch_b), batch_b) / Σ_b w_b

`loss` is a mean over w_b terms (examples, or counted tokens), so that L and all its derivatives do
not depend on how the examples are cut into batches or spread over processes. The values of the
model's parameters are not looked at: they come from a snapshot.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from dyntools.problem.batches import Batch, terms
from dyntools.ranks import ALONE, Ranks

Mode = Literal["eval", "train"]


@dataclass(frozen=True)
class Engine:
    """How products with the Hessian are computed.

    dtype: of parameters and products. float32: its rounding moves an eigenvalue by about 1e-6.
    memory: bytes that the graphs of the products may take; None is half of what is free.
    basis_memory: bytes that the vectors of a Lanczos basis may take; None is a quarter of it.
    hvp: `autograd` is reverse over reverse, exact; `differences` of gradients, fourth order in
        float64, is for operations without a second derivative.
    sharded: parameters and vectors are cut over the ranks, see `sharded`; for eigenvalues alone.
    """

    dtype: torch.dtype = torch.float32
    memory: int | None = None
    basis_memory: int | None = None
    hvp: Literal["autograd", "differences"] = "autograd"
    sharded: bool = False


@dataclass(frozen=True, eq=False)
class Problem:
    """A network, what it is trained on, and its loss.

    model: the architecture; parameters that need no gradient are constants of the problem.
    batches: fixed batches of tensors, tuples or dictionaries; any iterable that gives the same
        ones each time.
    loss: (outputs, batch) → the mean loss, a scalar.
    forward: (model, batch) → outputs; by default model(first of a tuple), model(**dictionary) or
        model(tensor).
    weight: batch → the number of terms its mean was over; by default the targets that are not
        -100, which are the examples of a classifier and the counted tokens of a language model.
    ranks: the processes that share the examples.
    mode: `eval`, or `train`: normalisation by batch statistics (running ones are left alone),
        dropout off.
    engine: precision, memory, and the route of the products.
    validation: fixed batches as `batches`, of examples that the run was not trained on; for the
        gap between the two losses and for nothing else.
    """

    model: nn.Module
    batches: Iterable[Batch]
    loss: Callable[[Any, Batch], Tensor]
    forward: Callable[[nn.Module, Batch], Any] | None = None
    weight: Callable[[Batch], float] | None = None
    ranks: Ranks = ALONE
    mode: Mode = "eval"
    engine: Engine = Engine()
    source: str = ""
    validation: Iterable[Batch] | None = None
    _cache: dict[object, Any] = field(default_factory=dict, init=False, repr=False)

    def outputs(self, model: nn.Module, batch: Batch) -> Any:
        """The outputs of the model for a batch."""
        if self.forward is not None:
            return self.forward(model, batch)
        return called(model, batch)

    def terms(self, batch: Batch) -> float:
        """w_b, the number of terms in the mean."""
        return float(terms(batch) if self.weight is None else self.weight(batch))

    def once(self, key: object, compute: Callable[[], Any]) -> Any:
        """`compute()` at the first call with this key; shared by all snapshots of a run."""
        if key not in self._cache:
            self._cache[key] = compute()
        return self._cache[key]

    @classmethod
    def classification(
        cls,
        model: nn.Module,
        loader: Iterable[Batch],
        *,
        batches: int | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int = -100,
        targets: Callable[[Batch], Any] | None = None,
        forward: Callable[[nn.Module, Batch], Any] | None = None,
        validation: Iterable[Batch] | None = None,
    ) -> Problem:
        """Cross-entropy of a classifier, on the first `batches` of a loader or all of them.

        The batches are drawn once, always from the same seed of torch, and kept in memory, also
        those of a loader that shuffles. They are pairs (inputs, labels) or dictionaries with
        `labels`; else `targets(batch)` tells. Labels are indices (n) or (n, …), or class
        probabilities of the shape of the outputs; one output alone is the logit of label 1.
        `ignore_index` (torch's own default) marks labels that do not count. The outputs may be a
        tensor, the first of a tuple, `logits` or `out` of a dictionary, or have `.logits`; else
        `forward` returns the logits. validation: another loader, of which as many batches are
        kept, see `Problem`. Raises ProblemError, which says what was found.
        """
        from dyntools.problem.supervised import classification

        return classification(
            model,
            loader,
            batches=batches,
            label_smoothing=label_smoothing,
            ignore_index=ignore_index,
            targets=targets,
            forward=forward,
            validation=validation,
        )

    @classmethod
    def regression(
        cls,
        model: nn.Module,
        loader: Iterable[Batch],
        *,
        batches: int | None = None,
        loss: Callable[[Tensor, Tensor], Tensor] | None = None,
        targets: Callable[[Batch], Any] | None = None,
        forward: Callable[[nn.Module, Batch], Any] | None = None,
        validation: Iterable[Batch] | None = None,
    ) -> Problem:
        """The mean of (outputs - targets)², without a half, as torch's `MSELoss`.

        loss: (outputs, targets) of one shape → another mean, such as `huber_loss`. Batches,
        outputs and validation are taken as by `classification`. Raises ProblemError, which says
        what was found.
        """
        from dyntools.problem.supervised import regression

        return regression(
            model,
            loader,
            batches=batches,
            loss=loss,
            targets=targets,
            forward=forward,
            validation=validation,
        )

    @classmethod
    def language_model(
        cls,
        model: nn.Module,
        tokens: Any,
        *,
        context: int | None = None,
        examples: int = 64,
        batches: int | None = None,
        forward: Callable[[nn.Module, Batch], Any] | None = None,
        validation: Any = None,
    ) -> Problem:
        """The mean of -log p(token | those before it) over all tokens but the first of an example.

        tokens: ids (N), cut from the front into `examples` (64, as `--examples`) of `context`; ids
        (n, T) as they are; a file of ids as for `--tokens`; or a loader, of which `batches` are
        kept as by `classification`: ids (n, T), or dictionaries with `input_ids` and perhaps
        `labels`, not shifted, -100 where they do not count. forward: (model, batch) → logits
        (n, T, V). validation: other tokens, taken in the same way, see `Problem`. Raises
        ProblemError, which says what was found.
        """
        from dyntools.problem.language_model import language_model

        return language_model(
            model,
            tokens,
            context=context,
            examples=examples,
            batches=batches,
            forward=forward,
            validation=validation,
        )

    @classmethod
    def from_huggingface(
        cls,
        path: str | Path,
        text: str | Path | None = None,
        *,
        tokens: str | Path | None = None,
        tokenizer: str | Path | None = None,
        context: int | None = None,
        examples: int = 64,
        validation: str | Path | None = None,
    ) -> Problem:
        """A causal language model from its folder's config.json, on a text file or a file of ids.

        The same as `analyze --text` or `--tokens`: nothing of the folder is run, and its weights
        are not looked at. validation: another text, or other ids, of the same kind and cut in the
        same way, see `Problem`. Raises ProblemError.
        """
        from dyntools.problem.text import problem_of_folder

        return problem_of_folder(
            path,
            text,
            tokens=tokens,
            tokenizer=tokenizer,
            context=context,
            examples=examples,
            validation=validation,
        )


def called(model: nn.Module, batch: Batch) -> Any:
    """The model on a batch: a dictionary by names, the first of a tuple, or a tensor."""
    if isinstance(batch, dict):
        return model(**_accepted(model, batch))
    return model(batch[0] if isinstance(batch, tuple | list) else batch)


def _accepted(model: nn.Module, batch: dict[str, Any]) -> dict[str, Any]:
    """The entries of a batch that the model's `forward` has arguments for."""
    parameters = inspect.signature(model.forward).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return batch
    return {name: value for name, value in batch.items() if name in parameters}
