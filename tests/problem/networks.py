"""Small networks of every layer that matters to second derivatives, and their dense Hessians.

The truth is made without a second derivative of autograd: central differences of gradients that
`backward()` computes on the bare module in float64, fourth order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from dyntools.problem import Engine, Problem
from dyntools.problem.binding import risk_of
from dyntools.problem.risk import Risk

Array = NDArray[np.float64]
EXACT = Engine(dtype=torch.float64)
CPU = torch.device("cpu")
CLASSES, WIDTH, LENGTH, EXAMPLES = 3, 4, 5, 6


def risk_at(problem: Problem) -> Risk:
    """The problem at its model's weights, guards passed; the model itself then holds others."""
    state = {n: p.detach().clone() for n, p in problem.model.named_parameters()}
    with torch.no_grad():
        for p in problem.model.parameters():
            p.mul_(-0.7).add_(0.1)
    shapes = {n: tuple(t.shape) for n, t in state.items()}
    return risk_of(problem, state.__getitem__, shapes, {}, CPU)


def matrix_of(risk: Risk, kind: Any = "hessian", seed: int = 0) -> Array:
    """All columns of a matrix."""
    eye = torch.eye(risk.size, dtype=risk.dtype)
    return np.stack([risk.product(e, kind, seed=seed).double().numpy() for e in eye], 1)


def dense(problem: Problem, step: float = 1e-3) -> Array:
    """The Hessian (n, n) by differences of fourth order of float64 gradients."""
    model = problem.model
    parameters = [p for p in model.parameters() if p.requires_grad]
    start = torch.cat([p.detach().reshape(-1) for p in parameters])
    weights = [problem.terms(batch) for batch in problem.batches]

    def gradient(theta: Tensor) -> Tensor:
        with torch.no_grad():
            for p, part in zip(
                parameters, theta.split([p.numel() for p in parameters]), strict=True
            ):
                p.copy_(part.view_as(p))
        model.zero_grad()
        for weight, batch in zip(weights, problem.batches, strict=True):
            loss = problem.loss(problem.outputs(model, batch), batch)
            (loss * (weight / sum(weights))).backward()
        none = torch.zeros(())
        return torch.cat(
            [
                (p.grad if p.grad is not None else none.expand_as(p)).reshape(-1).clone()
                for p in parameters
            ]
        )

    columns = []
    for i in range(len(start)):
        e = torch.zeros_like(start)
        e[i] = step
        near = gradient(start + e) - gradient(start - e)
        far = gradient(start + 2 * e) - gradient(start - 2 * e)
        columns.append((8 * near - far) / (12 * step))
    gradient(start)
    model.zero_grad(set_to_none=True)
    return torch.stack(columns, 1).numpy()


def classification(model: nn.Module, *shape: int, **settings: Any) -> Problem:
    """Cross-entropy on normal inputs (EXAMPLES, *shape), weights away from special values."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(EXAMPLES, *shape, generator=generator, dtype=torch.float64)
    y = torch.randint(CLASSES, (EXAMPLES,), generator=generator)
    return Problem(
        scattered(model),
        [(x, y)],
        lambda z, batch: cross_entropy(z, batch[1]),
        engine=settings.pop("engine", EXACT),
        **settings,
    )


def tokens(model: nn.Module, **settings: Any) -> Problem:
    """A language model's batch of whole numbers, one target a position."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(CLASSES, (EXAMPLES, LENGTH), generator=generator)
    y = torch.randint(CLASSES, (EXAMPLES, LENGTH), generator=generator)
    return Problem(
        scattered(model),
        [(ids, y)],
        lambda z, batch: cross_entropy(z.flatten(0, 1), batch[1].flatten()),
        engine=settings.pop("engine", EXACT),
        **settings,
    )


def scattered(model: nn.Module, seed: int = 0) -> nn.Module:
    """In float64 and eval mode, all tensors drawn by this seed, none at a special value."""
    model = model.double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.5 * torch.randn(p.shape, generator=generator) + (p.ndim == 1) * 0.5)
        for name, b in model.named_buffers():
            if "running" in name:
                b.add_(0.2 * torch.rand(b.shape, generator=generator))
    return model


class Flat(nn.Module):
    """The mean over the positions of a sequence (B, T, d) → (B, d)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


class Recurrent(nn.Module):
    """The last output of an LSTM or GRU."""

    def __init__(self, kind: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.cell = kind(2, 3, batch_first=True)
        self.head = nn.Linear(3, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cell(x)[0][:, -1])


class Attention(nn.Module):
    """Causal self-attention by torch's function."""

    def __init__(self, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in self.qkv(x).chunk(3, -1)
        )
        return scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)


class TorchAttention(nn.Module):
    """nn.MultiheadAttention of a sequence with itself."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True, dropout=0.1)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=False)[0]


class GPT(nn.Module):
    """One pre-norm block; input and output embeddings tied if wanted."""

    def __init__(self, *, tied: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(CLASSES, WIDTH)
        self.position = nn.Embedding(LENGTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.attention = Attention()
        self.mlp = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Dropout(0.5))
        self.head = nn.Linear(WIDTH, CLASSES, bias=False)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids) + self.position.weight[: ids.shape[1]]
        x = x + self.attention(self.norm(x))
        return self.head(x + self.mlp(x))


class Checkpointed(nn.Module):
    """A block whose activations are computed again in the backward pass."""

    def __init__(self, *, reentrant: bool) -> None:
        super().__init__()
        self.reentrant = reentrant
        self.inner = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH))
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = x.clone().requires_grad_()
        return self.head(checkpoint(self.inner, x, use_reentrant=self.reentrant))


class Scaled(nn.Module):
    """An element-wise module between two linear layers, and one parameter nobody uses."""

    def __init__(self, between: nn.Module, *, unused: bool = False) -> None:
        super().__init__()
        self.first = nn.Linear(WIDTH, WIDTH)
        self.between = between
        self.last = nn.Linear(WIDTH, CLASSES)
        if unused:
            self.unused = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.between(self.first(x)))


class Channels(nn.Module):
    """A convolution and a normalisation over channels."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, WIDTH, 2)
        self.norm = norm
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(nn.functional.gelu(self.norm(self.convolution(x))).mean((2, 3)))
