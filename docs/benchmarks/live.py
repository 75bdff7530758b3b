"""What watching a training costs: equal trainings, each watched in another way. Run: python FILE

All start from the same weights and see the same batches. They take turns step by step, so that a
busy machine slows all of them, and each is timed in blocks of as many steps as lie between two
reports. Ratios are to the training that nobody watches: of wall time and of processor time of all
blocks, and the medians over the blocks. `measured` is the share of its wall time that watching took
by these times, `reported` what a recorder says itself. The clock of a budget also runs while the
others have their turn, so a recorder is given its part of the budget. `histograms` is the work of
`wandb.watch` written out. W&B and cockpit run where they are installed, cockpit with its preset
`economy`, on the convolutional network alone: it needs modules that BackPACK knows. Ctrl-C ends a
network with the blocks that are done.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dyntools import Problem
from dyntools.callbacks import Recorder, every

EVERY = 100  # steps between reports
PRESETS = {"quick": 1.0, "full": 0.05}  # preset → budget
EXAMPLES = 32  # of the problem
BINS = 64  # of a histogram, as wandb.watch has them
WARM = 20  # steps that are not timed: the first ones of a process are slow


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
    """One of the trainings, watched by nobody."""

    title, reported = "nobody", ""

    def __init__(self, name: str, others: int, folder: Path) -> None:
        """others: how many take turns with it. folder: for what watching writes."""
        make, self.draw, self.batch = NETWORKS[name]
        torch.manual_seed(0)
        self.model, self.generator, self.taken = make(), torch.Generator().manual_seed(1), 0
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        self.spent, self.blocks = [0.0, 0.0], list[tuple[float, float]]()
        self.watch(name, others, folder)

    def watch(self, name: str, others: int, folder: Path) -> None:
        """Begin."""

    def gradients(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        loss = loss_of(self.model(batch[0]), batch)
        self.optimizer.zero_grad()
        loss.backward()
        return loss

    def look(self, loss: Tensor) -> None:
        """After each step."""

    def end(self) -> None:
        """After the last one; not timed."""

    def step(self) -> None:
        started = perf_counter(), process_time()
        batch = self.draw(self.batch, self.generator)
        loss = self.gradients(batch)
        self.optimizer.step()
        self.taken += 1
        self.look(loss)
        self.spent[0] += perf_counter() - started[0]
        self.spent[1] += process_time() - started[1]

    def block(self) -> None:
        """What the steps since the last call took is one block."""
        self.blocks.append((self.spent[0], self.spent[1]))
        self.spent = [0.0, 0.0]


class Recorded(Training):
    preset = ""

    def watch(self, name: str, others: int, folder: Path) -> None:
        make, draw, _ = NETWORKS[name]
        batch = draw(EXAMPLES, torch.Generator().manual_seed(2))
        budget = PRESETS[self.preset]
        self.title = f"`{self.preset}`" + ("" if budget >= 1 else f", budget {budget:g}")
        self.made = perf_counter()
        self.recorder = Recorder(
            self.model,
            self.optimizer,
            problem=Problem(make(), [batch], loss_of),
            metrics=self.preset,
            schedule=every(EVERY),
            path=folder / f"{name}-{self.preset}.jsonl",
            budget=budget if budget >= 1 else budget / (1 + others),
        )

    def look(self, loss: Tensor) -> None:
        self.recorder.step(self.taken, loss=loss.item())

    def end(self) -> None:
        spent = self.recorder.overhead * (perf_counter() - self.made)
        self.reported = f"{100 * spent / sum(wall for wall, _ in self.blocks):.1f} %"
        self.recorder.close()


class Quick(Recorded):
    preset = "quick"


class Full(Recorded):
    preset = "full"


class Histograms(Training):
    """Of every parameter and gradient, into a file; the loss of each step too."""

    title = "histograms"

    def watch(self, name: str, others: int, folder: Path) -> None:
        self.file = open(folder / f"{name}.jsonl", "w")  # noqa: SIM115

    def look(self, loss: Tensor) -> None:
        line: dict[str, Any] = {"step": self.taken, "loss": loss.item()}
        if self.taken % EVERY == 0:
            for name, parameter in self.model.named_parameters():
                line[name] = histogram(parameter.detach())
                line[f"gradient {name}"] = histogram(parameter.grad)
        self.file.write(json.dumps(line) + "\n")

    def end(self) -> None:
        self.file.close()


def histogram(tensor: Tensor | None) -> tuple[list[float], float, float]:
    assert tensor is not None
    flat = tensor.flatten()
    flat = flat[flat.isfinite()]
    low, high = flat.min().item(), flat.max().item()
    return flat.histc(BINS, low, high).tolist(), low, high


class Wandb(Training):
    title = "`wandb.watch`, offline"

    def watch(self, name: str, others: int, folder: Path) -> None:
        import wandb

        settings = wandb.Settings(silent=True)
        self.run = wandb.init(mode="offline", dir=folder, settings=settings)
        self.run.watch(self.model, log="all", log_freq=EVERY)

    def look(self, loss: Tensor) -> None:
        self.run.log({"loss": loss.item()})

    def end(self) -> None:
        self.run.finish()


class Cockpit(Training):
    title = "cockpit, economy"

    def watch(self, name: str, others: int, folder: Path) -> None:
        from backpack import extend
        from cockpit import Cockpit
        from cockpit.utils import schedules
        from cockpit.utils.configuration import configuration

        quantities = configuration("economy", track_schedule=schedules.linear(EVERY))
        self.cockpit = Cockpit(self.model.parameters(), quantities=quantities)
        extend(self.model)
        self.loss = extend(nn.CrossEntropyLoss())

    def gradients(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        outputs = self.model(batch[0])
        self.optimizer.zero_grad()
        loss = self.loss(outputs, batch[1])
        told = {
            "batch_size": len(batch[1]),
            "individual_losses": cross_entropy(outputs, batch[1], reduction="none"),
            "loss": loss,
            "optimizer": self.optimizer,
        }
        with self.cockpit(self.taken, info=told):
            loss.backward(create_graph=self.cockpit.create_graph(self.taken))
        return loss


def ways(name: str) -> list[type[Training]]:
    found: list[type[Training]] = [Training, Quick, Full, Histograms]
    found += [Wandb] if find_spec("wandb") else []
    return found + ([Cockpit] if name == "CNN" and find_spec("cockpit") else [])


def compared(name: str, blocks: int, folder: Path) -> list[str]:
    """The rows of a network."""
    chosen = ways(name)
    warm = Training(name, 0, folder)
    for _ in range(WARM):
        warm.step()
    trainings = [way(name, len(chosen) - 1, folder) for way in chosen]
    with suppress(KeyboardInterrupt):
        for _ in range(blocks):
            for _ in range(EVERY):
                for training in trainings:
                    training.step()
            for training in trainings:
                training.block()
    for training in trainings:
        training.end()
    return [row(name, training, trainings[0]) for training in trainings]


def row(name: str, training: Training, plain: Training) -> str:
    pairs = list(zip(training.blocks, plain.blocks, strict=True))
    cells = [name, training.title]
    wall, cpu = ([sum(block[i] for block in t.blocks) for t in (training, plain)] for i in (0, 1))
    cells.append(f"{1e3 * wall[0] / len(pairs) / EVERY:.1f}")
    for i, (its, bare) in enumerate((wall, cpu)):
        median = statistics.median(own[i] / other[i] for own, other in pairs)
        cells += [f"{its / bare:.3f}", f"{median:.3f}"]
    cells += [f"{100 * (wall[0] - wall[1]) / wall[0]:.1f} %", training.reported]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=20, help=f"of {EVERY} steps; default 20")
    parser.add_argument("--network", choices=NETWORKS, action="append")
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # of cockpit and BackPACK
    print(
        "| network | watched by | step, ms | wall | median | CPU | median | measured | reported |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        for name in given.network or NETWORKS:
            print(*compared(name, given.blocks, Path(folder)), sep="\n", flush=True)


if __name__ == "__main__":
    main()
