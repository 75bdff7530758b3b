"""The runs of ci-gate.py: one recipe for digits, the same with other seeds, and changed recipes.

64-64-64-10 with ReLU and layer normalisation on 600 of scikit-learn's digits, a tenth of the labels
random, AdamW with a rate that falls to a tenth: 800 steps. The probe is all 600 images, the same
for every recipe.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dyntools import Problem, Report, analyze, make_plan, open_run, read_report

IMAGES = Path(__file__).parents[2] / "fixtures" / "runs" / "digits-cnn" / "data.npz"
CALIBRATION, SEEDS = 20, 10  # seeds that set the tolerances; seeds a side; chosen
WRONG = 0.1  # share of the training labels drawn at random, as in fixtures/runs/digits-mlp
EPOCHS, BATCH = 40, 30  # of 600 images: 800 steps; chosen
BUFFER = 100  # images of 600; chosen
KEPT = (0, *range(680, 801, 20))  # checkpoints: the start and the end of each late epoch; chosen
MEASURED = KEPT[2:]  # each with the checkpoint of the epoch before it
CURVATURE = ("hessian_top", "hessian_trace", "adam_sharpness", "critical_sharpness")
RANKS = ("effective_rank", "stable_rank", "update_rank")
METRICS = (
    *("hessian_top:k=1", "hessian_trace", "adam_sharpness:k=1", "critical_sharpness"),
    *RANKS,
    *("weight_norm", "layer_rotation", "spectral_norm", "second_moment_snr", "update_snr"),
    *("generalization_gap", "divergence", "loss_spikes"),
)


@dataclass(frozen=True)
class Recipe:
    """What is trained, and how. order: of the examples. change: against the base recipe."""

    name: str
    change: str
    seeds: tuple[int, int]  # from, to
    rate: float = 2e-3
    decay: float = 0.5
    second_norm: bool = True
    order: str = "shuffled"


_FIRST = CALIBRATION
_SECOND, _LAST = _FIRST + SEEDS, _FIRST + 2 * SEEDS
TUNING = Recipe("tuning", "none; sets the tolerances", (0, _FIRST))
BASE = Recipe("base", "none", (_FIRST, _SECOND))
SAME = Recipe("other seeds", "none, other seeds", (_SECOND, _LAST))
CHANGED = (
    replace(SAME, name="no decay", change="weight decay dropped", decay=0.0),
    replace(SAME, name="rate × 3", change="learning rate three times as high", rate=6e-3),
    replace(SAME, name="no norm", change="the second normalisation removed", second_norm=False),
    replace(SAME, name="by class", change="images read class by class", order="buffer"),
    replace(SAME, name="same order", change="shuffled once, not every epoch", order="once"),
)


class Network(nn.Module):
    """64-64-64-10 with ReLU and layer normalisation, which has no parameters of its own.

    Without the second normalisation the names and shapes of all parameters stay as they are.
    """

    def __init__(self, second_norm: bool) -> None:
        super().__init__()
        self.first = nn.Linear(64, 64)
        self.first_norm = nn.LayerNorm(64, elementwise_affine=False)
        self.second = nn.Linear(64, 64)
        self.second_norm: nn.Module = nn.Identity()
        if second_norm:
            self.second_norm = nn.LayerNorm(64, elementwise_affine=False)
        self.last = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.first_norm(self.first(images)))
        hidden = torch.relu(self.second_norm(self.second(hidden)))
        return torch.as_tensor(self.last(hidden))


def data() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """((600, 64), (600,)) for training, a share of its labels random; the same for validation."""
    stored = np.load(IMAGES)
    labels = stored["training_labels"].astype(np.int64)
    random = np.random.default_rng(0)
    wrong = random.choice(len(labels), round(WRONG * len(labels)), replace=False)
    labels[wrong] = random.integers(10, size=len(wrong))
    held_out = torch.tensor(stored["validation_labels"].astype(np.int64))
    return (
        (_pixels(stored["training_images"]), torch.tensor(labels)),
        (_pixels(stored["validation_images"]), held_out),
    )


def _pixels(images: NDArray[np.uint8]) -> Tensor:
    return torch.tensor(images / 16, dtype=torch.float32)


def problem(recipe: Recipe) -> Problem:
    """The loss on all training images: the probe, the same one for every recipe."""
    training, _ = data()
    return Problem(Network(recipe.second_norm), [training], lambda out, b: cross_entropy(out, b[1]))


def shuffled_in_a_buffer(labels: Tensor, size: int, random: torch.Generator) -> list[int]:
    """Examples in order of their class, through a buffer from which one is drawn at random."""
    source = torch.argsort(labels, stable=True).tolist()
    buffer, order = source[:size], []
    for coming in source[size:]:
        drawn = int(torch.randint(size, (1,), generator=random))
        order.append(buffer[drawn])
        buffer[drawn] = coming
    rest = torch.randperm(size, generator=random).tolist()
    return order + [buffer[i] for i in rest]


def order_of(recipe: Recipe, labels: Tensor, first: Tensor, random: torch.Generator) -> Tensor:
    """The order of the examples in the coming epoch."""
    if recipe.order == "once":
        return first
    if recipe.order == "buffer":
        return torch.tensor(shuffled_in_a_buffer(labels, BUFFER, random))
    return torch.randperm(len(labels), generator=random)


def train(recipe: Recipe, seed: int, folder: Path) -> None:
    """One run: its checkpoints and its log.jsonl."""
    folder.mkdir(parents=True, exist_ok=True)
    (images, labels), (held_out, answers) = data()
    torch.manual_seed(seed)
    model = Network(recipe.second_norm)
    random = torch.Generator().manual_seed(1000 + seed)
    first = torch.randperm(len(labels), generator=random)
    optimizer = torch.optim.AdamW(model.parameters(), recipe.rate, weight_decay=recipe.decay)
    total = EPOCHS * len(labels) // BATCH
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - 0.9 * step / total)
    rows, step = [], 0
    _save(model, optimizer, step, folder)
    for _ in range(EPOCHS):
        losses = []
        for batch in order_of(recipe, labels, first, random).split(BATCH):
            loss = cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            step += 1
        if step in KEPT:
            _save(model, optimizer, step, folder)
        with torch.no_grad():
            out = model(held_out)
        found = (float(np.mean(losses)), cross_entropy(out, answers).item())
        right = (out.argmax(1) == answers).double().mean().item()
        names = ("step", "train/loss", "val/loss", "val/accuracy")
        rows.append(dict(zip(names, (step, *found, right), strict=True)))
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _save(model: nn.Module, optimizer: torch.optim.Optimizer, step: int, folder: Path) -> None:
    saved = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    torch.save(saved, folder / f"step-{step:05d}.pt")


def reports(recipe: Recipe, out: Path) -> list[Report]:
    """One of each seed; trained and measured where the folder does not hold it yet."""
    found = []
    for seed in range(*recipe.seeds):
        path = out / f"{recipe.name.replace(' ', '-')}-{seed:02d}.h5"
        if not path.exists():
            folder = path.with_suffix("")
            train(recipe, seed, folder)
            run = open_run(folder)
            plan = make_plan(run, METRICS, problem=problem(recipe))
            analyze(run, plan, path, steps=MEASURED, force=True)
        found.append(read_report(path))
    return found
