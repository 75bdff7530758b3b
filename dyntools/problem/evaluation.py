"""Evaluation: a problem's own model with the parameters of a snapshot put in, while needed.

The tensors are swapped by name and put back, so the model of the user never changes. Whatever may
look at them runs inside: the model, the loss (a penalty on the weights, say), and backward passes,
in which checkpointed layers are computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from dyntools.errors import ProblemError
from dyntools.problem.batches import Batch, placed
from dyntools.problem.conditions import conditions
from dyntools.problem.problem import Problem

T = TypeVar("T")


class Evaluation:
    """names: of the leaves in the model. constants: its other tensors, by its names."""

    def __init__(
        self,
        problem: Problem,
        names: Sequence[str],
        constants: Mapping[str, Tensor],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.problem, self.device, self.dtype = problem, device, dtype
        self._names = [f"model.{name}" for name in names]
        prefixed = {f"model.{name}": tensor for name, tensor in constants.items()}
        self._constants: dict[str, Tensor] = placed(prefixed, device, dtype)
        self._host = _Host(problem.model)

    def within(self, leaves: Sequence[Tensor], work: Callable[[], T]) -> T:
        """`work()` while the model has these parameters and runs under the stated conditions."""
        values = self._constants
        if self.problem.mode == "train":  # batch normalisation writes to its running statistics
            values = {name: tensor.clone() for name, tensor in values.items()}
        values = {**values, **dict(zip(self._names, leaves, strict=True))}
        with conditions(self.problem.model, self.problem.mode, self.device):
            return functional_call(self._host, values, (work,))  # type: ignore[no-any-return]

    def holding(self, leaves: Sequence[Tensor], work: Callable[[], T]) -> T:
        """`work()` with other leaves for a while; to be called within."""
        values = dict(zip(self._names, leaves, strict=True))
        return functional_call(self._host, values, (work,))  # type: ignore[no-any-return]

    def outputs(self, batch: Batch) -> Any:
        """To be called within."""
        return self.problem.outputs(self.problem.model, batch)

    def loss(self, batch: Batch) -> Tensor:
        """The mean loss of a batch, a scalar; to be called within."""
        return self.loss_of_outputs(self.outputs(batch), batch)

    def loss_of_outputs(self, outputs: Any, batch: Batch) -> Tensor:
        loss = self.problem.loss(outputs, batch)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            shape = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise ProblemError(
                "The loss must be one number, the mean over the batch.",
                where=self.problem.source or None,
                found=str(shape),
                remedy="loss=lambda outputs, batch: cross_entropy(outputs, batch[1])",
            )
        return loss.reshape(())


class _Host(nn.Module):
    """Runs any work as a forward pass of a model, so that functional_call can swap tensors."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, work: Callable[[], T]) -> T:
        return work()
