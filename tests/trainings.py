"""Small trainings that are repeated to the last bit, with and without a recorder."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dyntools import Problem

STEPS, CLASSES = 200, 5
Step = Callable[..., None]


class TinyGPT(nn.Module):
    """Two blocks of causal attention with dropout; token embeddings tied to the output."""

    def __init__(self, vocabulary: int = CLASSES, width: int = 8, context: int = 6) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.qkv = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(2))
        self.mlp = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.norm, self.drop = nn.LayerNorm(width), nn.Dropout(0.1)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tokens(ids) + self.places.weight[: ids.shape[1]]
        for qkv, mlp in zip(self.qkv, self.mlp, strict=True):
            q, k, v = qkv(self.norm(x)).chunk(3, -1)
            x = x + nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.drop(mlp(x).relu())
        return x @ self.tokens.weight.T


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, CLASSES))


def cnn() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout2d(0.2)),
        *(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, CLASSES)),
    )


SHAPES = {mlp: (6,), cnn: (1, 6, 6), TinyGPT: (6,)}


def batch(make: Callable[[], nn.Module], size: int = 8) -> tuple[Tensor, Tensor]:
    """Drawn from the global random numbers, of which each kind is used."""
    if make is TinyGPT:
        ids = torch.randint(CLASSES, (size, 6))
        return ids, ids.roll(random.randint(1, 2), 1)
    scale = float(np.random.rand() + random.random())  # noqa: NPY002
    return scale * torch.randn(size, *SHAPES[make]), torch.randint(CLASSES, (size,))


def loss_of(outputs: Tensor, given: tuple[Tensor, Tensor]) -> Tensor:
    return cross_entropy(outputs.reshape(-1, CLASSES), given[1].reshape(-1))


def seeded(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)


def problem_of(make: Callable[[], nn.Module]) -> Problem:
    seeded(7)
    return Problem(make(), [batch(make, 16)], loss_of)


@dataclass
class Loop:
    """How one training goes."""

    make: Callable[[], nn.Module] = mlp
    accumulate: int = 1
    autocast: bool = False
    scaler: bool = False
    compiled: bool = False
    device: str = "cpu"
    steps: int = STEPS
    seed: int = 1


def train(
    loop: Loop,
    recorded: Callable[[nn.Module, torch.optim.Optimizer], Any] | None = None,
    wrap: Callable[[nn.Module], nn.Module] = lambda model: model,
) -> dict[str, object]:
    """Everything that a recorder must not change, at the end of the training."""
    seeded(0)
    model = loop.make().to(loop.device)
    called = torch.compile(model, backend="aot_eager") if loop.compiled else wrap(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    plan = torch.optim.lr_scheduler.StepLR(optimizer, 50, 0.5)
    scaler = torch.amp.GradScaler(loop.device, init_scale=64.0, enabled=loop.scaler)
    recorder = recorded(called, optimizer) if recorded else None
    seeded(loop.seed)
    losses = []
    for step in range(1, loop.steps + 1):
        for _ in range(loop.accumulate):
            inputs, labels = (part.to(loop.device) for part in batch(loop.make))
            with torch.autocast(loop.device, torch.bfloat16, enabled=loop.autocast):
                loss = loss_of(called(inputs), (inputs, labels)) / loop.accumulate
            scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        if recorder is not None:
            recorder.step(step, loss=loss.item())
        plan.step()
        losses.append(loss.item())
        if step % 3:  # gradients of every third step are carried on
            optimizer.zero_grad()
    if recorder is not None:
        recorder.close()
    return state(model, optimizer) | {"losses": losses, "scale": scaler.get_scale()}


def state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, object]:
    modules = list(model.modules())
    return {
        "weights": dict(model.state_dict()),
        "gradients": {n: p.grad for n, p in model.named_parameters()},
        "flags": [module.training for module in modules],
        "hooks": [hooks_of(module) for module in (*modules, *model.parameters())],
        "classes": [[type(module).__qualname__, *sorted(vars(module))] for module in modules],
        "trainable": [p.requires_grad for p in model.parameters()],
        "modes of torch": len(torch.overrides._get_current_function_mode_stack()),
        "optimizer": optimizer.state_dict(),
        "optimizer hooks": len(optimizer._optimizer_step_post_hooks),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": np.random.get_state()[1:],  # noqa: NPY002
        "python": random.getstate(),
        "threads": torch.get_num_threads(),
        "grad mode": torch.is_grad_enabled(),
    }


def hooks_of(one: nn.Module | Tensor) -> dict[str, int]:
    """How many there are of each kind: forward, backward, before and after, …"""
    found = {name: getattr(one, name) for name in dir(one) if name.endswith("_hooks")}
    return {name: len(some) for name, some in found.items() if isinstance(some, Mapping) and some}


def differences(one: object, two: object, place: str = "") -> list[str]:
    """Where two states differ in a bit."""
    if isinstance(one, Tensor) and isinstance(two, Tensor):
        same = one.dtype == two.dtype and one.shape == two.shape
        same = same and one.cpu().numpy().tobytes() == two.cpu().numpy().tobytes()
        return [] if same else [place]
    if isinstance(one, np.ndarray) and isinstance(two, np.ndarray):
        return [] if one.tobytes() == two.tobytes() else [place]
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        if list(one) != list(two):
            return [f"{place} keys"]
        return [d for k in one for d in differences(one[k], two[k], f"{place}/{k}")]
    if isinstance(one, list | tuple) and isinstance(two, list | tuple):
        if len(one) != len(two):
            return [f"{place} length"]
        pairs = enumerate(zip(one, two, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{place}/{i}")]
    return [] if one == two else [place]
