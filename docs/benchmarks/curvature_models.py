"""The three models of the curvature benchmarks: their data and short training runs, from seeds.

Every model maps its inputs to logits (N, classes), so that one mean cross-entropy serves every
tool under test. It needs nothing but torch, so that it runs in the Python of the peers, too.

    mlp   784-256-256-10, GELU; 2000 Gaussian-cluster examples, a tenth of the labels wrong
    cnn   four convolutions with BatchNorm (eval mode), GELU; images of clusters, trained on 512 of
          them, curvature of the mean loss over the first 128 (on 512 every number costs four times)
    gpt   4 layers of width 160 with LayerNorm and attention by hand, which every peer can
          differentiate twice; 16 sequences of 128 tokens of a Markov chain

    python docs/benchmarks/curvature_models.py FOLDER     trains all and writes the checkpoints
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Recipe:
    """A training run; checkpoints are kept every `gap` steps, and after each of the last ten."""

    steps: int
    batch: int
    learning_rate: float
    adam: bool
    gap: int
    examples: int  # trained on
    probe: int  # of those, in the loss whose curvature is measured


RECIPES = {
    "mlp": Recipe(100, 200, 0.01, adam=False, gap=10, examples=2000, probe=2000),
    "cnn": Recipe(52, 128, 0.02, adam=False, gap=4, examples=512, probe=128),
    "gpt": Recipe(60, 16, 1e-3, adam=True, gap=5, examples=16, probe=16),
}


@dataclass(frozen=True)
class Task:
    """A model in eval mode and the one batch its loss is a mean over."""

    model: nn.Module
    inputs: Tensor
    targets: Tensor

    def loss(self) -> Tensor:
        return F.cross_entropy(self.model(self.inputs), self.targets)

    def parameters(self) -> list[nn.Parameter]:
        return list(self.model.parameters())


def late_steps(name: str) -> list[int]:
    """Five late checkpoints; the last is the one of the main benchmark."""
    recipe = RECIPES[name]
    return [recipe.steps - i * recipe.gap for i in reversed(range(5))]


def neighbouring_steps(name: str) -> list[int]:
    """Ten checkpoints one step apart."""
    return list(range(RECIPES[name].steps - 9, RECIPES[name].steps + 1))


def load(
    name: str,
    folder: Path,
    step: int | None = None,
    dtype: torch.dtype = torch.float32,
    examples: int | None = None,
) -> Task:
    """The model at a step (default: its last), trained first where the folder lacks it."""
    recipe = RECIPES[name]
    file = folder / f"{name}-{recipe.steps if step is None else step}.pt"
    if not file.exists():
        train(name, folder)
    model = network(name)
    model.load_state_dict(torch.load(file))
    inputs, targets = (part[: examples or recipe.probe] for part in data(name))
    inputs = inputs.to(dtype) if inputs.is_floating_point() else inputs
    return Task(model.to(dtype).eval(), inputs, targets.flatten())


def train(name: str, folder: Path) -> None:
    """Runs the recipe and writes its checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe, model, (inputs, targets) = RECIPES[name], network(name), data(name)
    optimizer: torch.optim.Optimizer = torch.optim.SGD(
        model.parameters(), recipe.learning_rate, momentum=0.9
    )
    if recipe.adam:
        optimizer = torch.optim.Adam(model.parameters(), recipe.learning_rate)
    generator = torch.Generator().manual_seed(1)
    kept = {*late_steps(name), *neighbouring_steps(name)}
    for step in range(1, recipe.steps + 1):
        picked = torch.randperm(recipe.examples, generator=generator)[: recipe.batch]
        loss = F.cross_entropy(model(inputs[picked]), targets[picked].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step in kept:
            torch.save(model.state_dict(), folder / f"{name}-{step}.pt")


# Data --------------------------------------------------------------------------------------------


def data(name: str) -> tuple[Tensor, Tensor]:
    """(inputs, targets), one row of each an example."""
    generator = torch.Generator().manual_seed(0)
    examples = RECIPES[name].examples
    if name == "gpt":
        return markov_chain(examples, 128, 256, generator)
    if name == "cnn":
        return clusters(examples, (3, 32, 32), 0.12, generator)
    return clusters(examples, (784,), 0.25, generator)


def clusters(
    n: int, shape: tuple[int, ...], signal: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Ten Gaussian clusters, unit noise; a tenth of the labels is drawn anew."""
    labels = torch.randint(10, (n,), generator=generator)
    means = torch.randn(10, *shape, generator=generator)
    inputs = signal * means[labels] + torch.randn(n, *shape, generator=generator)
    wrong = torch.rand(n, generator=generator) < 0.1
    return inputs, torch.where(wrong, torch.randint(10, (n,), generator=generator), labels)


def markov_chain(
    n: int, length: int, vocabulary: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Token sequences (n, length) and their next tokens."""
    logits = 3.0 * torch.randn(vocabulary, vocabulary, generator=generator)
    chances = logits.softmax(-1)
    tokens = torch.randint(vocabulary, (n, 1), generator=generator)
    for _ in range(length):
        following = torch.multinomial(chances[tokens[:, -1]], 1, generator=generator)
        tokens = torch.cat([tokens, following], 1)
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


# Networks ----------------------------------------------------------------------------------------


def network(name: str) -> nn.Module:
    """Fresh weights from seed 0; the caller's random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return {"mlp": mlp, "cnn": cnn, "gpt": gpt}[name]()


def mlp() -> nn.Module:
    return nn.Sequential(
        *(nn.Linear(784, 256), nn.GELU(), nn.Linear(256, 256), nn.GELU(), nn.Linear(256, 10))
    )


def cnn() -> nn.Module:
    layers: list[nn.Module] = []
    for inside, outside, stride in ((3, 32, 1), (32, 64, 2), (64, 128, 2), (128, 128, 2)):
        layers += [nn.Conv2d(inside, outside, 3, stride=stride, padding=1)]
        layers += [nn.BatchNorm2d(outside), nn.GELU()]
    head = (nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(512, 128), nn.GELU())
    return nn.Sequential(*layers, *head, nn.Linear(128, 10))


def gpt() -> nn.Module:
    model = GPT(vocabulary=256, width=160, layers=4, heads=4, context=128)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            nn.init.normal_(parameter, std=0.02)
    return model


class Block(nn.Module):
    """x + attention(LN x), then x + mlp(LN x)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.projection = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def attention(self, x: Tensor) -> Tensor:
        shape = (*x.shape[:2], self.heads, -1)
        q, k, v = (part.view(shape).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        past = torch.ones(scores.shape[-2:], dtype=torch.bool, device=x.device).tril()
        weights = scores.masked_fill(~past, -math.inf).softmax(-1)
        return self.projection((weights @ v).transpose(1, 2).reshape(x.shape))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm_1(x))
        return x + self.down(F.gelu(self.up(self.norm_2(x))))  # type: ignore[no-any-return]


class GPT(nn.Module):
    """Tokens (n, length) → logits (n · length, vocabulary)."""

    def __init__(
        self, *, vocabulary: int, width: int, layers: int, heads: int, context: int
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.positions.weight[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(x))).flatten(0, 1)  # type: ignore[no-any-return]


if __name__ == "__main__":
    for each in RECIPES:
        train(each, Path(sys.argv[1]))
