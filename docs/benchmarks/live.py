"""What a live recorder costs: two equal trainings, one of them recorded, in turns. Run: python FILE

Both start from the same weights and see the same batches, and take turns in blocks of as many steps
as lie between two reports, so that a busy machine slows both. `ratio` is the time of all steps of
the recorded one over that of the other, `median` the median over the blocks, `measured` the share
of its training's time that the recorder took by these times, `reported` what it says itself. The
clock of the budget also runs while the other training has its turn, so it is given half of it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dyntools import Problem
from dyntools.callbacks import Recorder, every

EVERY = 100  # steps between reports
PRESETS = {"quick": 1.0, "optimizer": 1.0, "full": 0.05}  # preset → budget
EXAMPLES = 32  # of the problem


class Block(nn.Module):
    """A layer of a GPT; its attention is written out, so that a Hessian can be taken."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.ln_1, self.ln_2 = heads, nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        parts = self.qkv(self.ln_1(x)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = parts[0] @ parts[1].mT / (width / self.heads) ** 0.5
        mask = torch.ones(length, length, dtype=torch.bool).triu(1)
        mixed = scores.masked_fill(mask, -torch.inf).softmax(-1) @ parts[2]
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(torch.nn.functional.gelu(self.up(self.ln_2(x))))


class GPT(nn.Module):
    """(batch, 64) bytes to logits; 0.9 M weights."""

    def __init__(self, width: int = 128, layers: int = 4) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(256, width), nn.Embedding(64, width)
        self.blocks = nn.Sequential(*(Block(width, 4) for _ in range(layers)))
        self.ln_f, self.head = nn.LayerNorm(width), nn.Linear(width, 256)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.tokens(x) + self.places(torch.arange(x.shape[1]))
        return self.head(self.ln_f(self.blocks(hidden)))


def cnn() -> nn.Module:
    """(batch, 3, 32, 32) to ten classes; 0.3 M weights."""
    layers: list[nn.Module] = []
    for before, after in ((3, 32), (32, 64), (64, 128), (128, 128)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10))


def text(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    tokens = torch.randint(256, (count, 65), generator=generator)
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def images(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    labels = torch.randint(10, (count,), generator=generator)
    return torch.randn(count, 3, 32, 32, generator=generator), labels


Draw = Callable[[int, torch.Generator], tuple[Tensor, Tensor]]
NETWORKS: dict[str, tuple[Callable[[], nn.Module], Draw, int]] = {
    "small GPT": (GPT, text, 16),
    "CNN": (cnn, images, 32),
}


def loss_of(outputs: Tensor, batch: tuple[Tensor, Tensor]) -> Tensor:
    return cross_entropy(outputs.flatten(0, -2), batch[1].flatten())


class Training:
    """One of the two trainings."""

    def __init__(self, name: str) -> None:
        make, self.draw, self.batch = NETWORKS[name]
        torch.manual_seed(0)
        self.model, self.generator, self.taken = make(), torch.Generator().manual_seed(1), 0
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)

    def block(self, recorder: Recorder | None) -> float:
        """Seconds of as many steps as lie between two reports."""
        started = perf_counter()
        for _ in range(EVERY):
            batch = self.draw(self.batch, self.generator)
            loss = loss_of(self.model(batch[0]), batch)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.taken += 1
            if recorder is not None:
                recorder.step(self.taken, loss=loss.item())
        return perf_counter() - started


def compared(name: str, preset: str, blocks: int, folder: Path) -> str:
    """A row of the table."""
    plain, recorded = Training(name), Training(name)
    make, draw, _ = NETWORKS[name]
    batch = draw(EXAMPLES, torch.Generator().manual_seed(2))
    path, budget = folder / f"{name}-{preset}.jsonl", PRESETS[preset]
    made = perf_counter()
    with Recorder(
        recorded.model,
        recorded.optimizer,
        problem=Problem(make(), [batch], loss_of),
        metrics=preset,
        schedule=every(EVERY),
        path=path,
        budget=budget if budget >= 1 else budget / 2,
    ) as recorder:
        plain.block(None)  # the first steps of a process are slow
        pairs = [(plain.block(None), recorded.block(recorder)) for _ in range(blocks)]
        spent = recorder.overhead * (perf_counter() - made)
    without, with_it = (sum(times) for times in zip(*pairs, strict=True))
    ratios = [b / a for a, b in pairs]
    share, said = (with_it - without) / with_it, spent / with_it
    return (
        f"| {name} | {preset} | {'none' if budget >= 1 else f'{budget:g}'} |"
        f" {1e3 * without / blocks / EVERY:.1f} | {with_it / without:.3f} |"
        f" {statistics.median(ratios):.3f} | {100 * share:.1f} % | {100 * said:.1f} % |"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=20, help=f"of {EVERY} steps; default 20")
    blocks = parser.parse_args().blocks
    print("| network | preset | budget | step, ms | ratio | median | measured | reported |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        for name in NETWORKS:
            for preset in PRESETS:
                print(compared(name, preset, blocks, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
