"""Models whose activations are known beforehand, and snapshots of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dyntools.live import snapshot_of
from dyntools.problem import Engine, Problem
from dyntools.snapshot import Snapshot

FLOAT64 = Engine(dtype=torch.float64)


class Through(nn.Module):
    """The function of the inputs, plus parameters (width,) that are zero."""

    def __init__(self, function: nn.Module, width: int = 1) -> None:
        super().__init__()
        self.function = function
        self.zero = nn.Parameter(torch.zeros(width, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x) + self.zero


def through(function: nn.Module, batches: Sequence[Tensor]) -> Snapshot:
    """Activations are those of `function` on the batches, in float64."""
    model = Through(function)
    problem = Problem(model, list(batches), lambda z, _: z.square().mean(), engine=FLOAT64)
    return snapshot_of(model, 0, problem=problem)


def classified(logits: Tensor, labels: Tensor, cut: int) -> Snapshot:
    """A model whose logits are its inputs."""
    model = Through(nn.Identity(), logits.shape[-1])
    batches = list(zip(logits.split(cut), labels.split(cut), strict=True))

    def loss(z: Tensor, batch: tuple[Tensor, Tensor]) -> Tensor:
        return cross_entropy(z.flatten(0, -2), batch[1].flatten())

    return snapshot_of(model, 0, problem=Problem(model, batches, loss, engine=FLOAT64))
