"""The runs of overfitting.py: small networks on 8 × 8 digits, and what is measured of them.

Images and labels are those of fixtures/runs/digits-cnn, 1200 of scikit-learn's digits; no other
package is needed. Where labels are noisy, those of training and of held-out images are drawn at
random with one probability, so that the gap compares like with like. Accuracy is always against
the true labels of held-out images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dyntools import Measurement, Problem, Snapshot, Status, Tensors, measure
from dyntools.live import snapshot_of

IMAGES = Path(__file__).parents[2] / "fixtures" / "runs" / "digits-cnn" / "data.npz"
SEEDS, TRAIN, CLASSES = 5, 400, 10  # chosen

# Questions 1 and 4: weight decay and label noise.
DECAYS = (0.0, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
SETTINGS = (("MLP", 0.0), ("MLP", 0.2), ("MLP", 0.5), ("CNN", 0.0), ("CNN", 0.2))  # label noise
EPOCHS, BATCH, RATE, MOMENTUM = 60, 50, 0.05, 0.9  # chosen
KEPT = (1, 3, 6, 15, 30, 45, 60)  # epochs
EARLY = KEPT.index(EPOCHS // 10)  # the paper's tenth of training

# Question 2: learning rate.
RATES = (0.5, 0.2, 0.1, 0.05, 0.02)
TURN_NOISES = (0.0, 0.2)
TURNS, TURN_BATCH = 150, 20  # epochs, batch; chosen

# Question 3: growth of the gap.
SETS = ((400, 0.0), (400, 0.2), (100, 0.0))  # images, label noise; chosen
GAP_RATES, SMALL, GAP_SEEDS = (0.03, 0.3), 20, 10  # small batches; chosen
STEPS = (0, 8, 16, 24, 32, 48, 64, 128, 256, 384, 512)
FIRST, DRAWS = (0, 8), 40  # the first steps, for so many draws of images; chosen

Setting = tuple[str, float]  # network, label noise
Pair = tuple[Tensor, Tensor]  # images (n, 64), labels (n,)
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Draw:
    """Two sets of images with the labels that are used, and the true ones of the second."""

    train: Pair
    held_out: Pair
    truth: Tensor


@cache
def _stored() -> Pair:
    stored = np.load(IMAGES)
    both = ("training", "validation")
    images = np.concatenate([stored[f"{part}_images"] for part in both]) / 16
    labels = np.concatenate([stored[f"{part}_labels"] for part in both]).astype(np.int64)
    return torch.tensor(images, dtype=torch.float32), torch.tensor(labels)


def drawn(seed: int, noise: float, train: int = TRAIN, held_out: int = 2 * TRAIN) -> Draw:
    """Images drawn without replacement; `noise` of all labels drawn anew from the ten classes."""
    images, truth = _stored()
    generator = torch.Generator().manual_seed(1000 + seed)
    order = torch.randperm(len(images), generator=generator)
    wrong = torch.rand(len(images), generator=generator) < noise
    other = torch.randint(CLASSES, truth.shape, generator=generator)
    labels = torch.where(wrong, other, truth)
    seen, unseen = order[:train], order[train : train + held_out]
    return Draw((images[seen], labels[seen]), (images[unseen], labels[unseen]), truth[unseen])


def mlp(*widths: int, norm: bool) -> nn.Sequential:
    """64-widths-10 with ReLU, batch normalisation before it if wanted; `last` is the readout."""
    model, fan_in = nn.Sequential(), 64
    for i, width in enumerate(widths):
        model.add_module(f"hidden_{i}", nn.Linear(fan_in, width))
        if norm:
            model.add_module(f"norm_{i}", nn.BatchNorm1d(width))
        model.add_module(f"relu_{i}", nn.ReLU())
        fan_in = width
    model.add_module("last", nn.Linear(fan_in, CLASSES))
    return model


def cnn() -> nn.Sequential:
    """Three 3 × 3 convolutions (16, 32, 32; the second strides) with batch normalisation, mean."""
    model, channels = nn.Sequential(), 1
    model.add_module("image", nn.Unflatten(1, (1, 8, 8)))
    for i, (out, stride) in enumerate(((16, 1), (32, 2), (32, 1))):
        model.add_module(f"conv_{i}", nn.Conv2d(channels, out, 3, stride, 1, bias=False))
        model.add_module(f"norm_{i}", nn.BatchNorm2d(out))
        model.add_module(f"relu_{i}", nn.ReLU())
        channels = out
    model.add_module("pool", nn.AdaptiveAvgPool2d(1))
    model.add_module("flat", nn.Flatten())
    model.add_module("last", nn.Linear(channels, CLASSES))
    return model


NETWORKS: dict[str, Callable[[], nn.Sequential]] = {
    "MLP": lambda: mlp(128, 128, 128, norm=True),
    "CNN": cnn,
}
QUANTITIES = ("oui", "rank", "train_loss", "train", "test_loss", "test")


def losses(model: nn.Module, draw: Draw) -> dict[str, float]:
    """Loss and accuracy, on the training images and on the others; in evaluation mode."""
    training = model.training
    with torch.no_grad():
        seen, unseen = model.eval()(draw.train[0]), model(draw.held_out[0])
    model.train(training)
    return {
        "train_loss": float(cross_entropy(seen.double(), draw.train[1])),
        "train": float((seen.argmax(1) == draw.train[1]).double().mean()),
        "test_loss": float(cross_entropy(unseen.double(), draw.held_out[1])),
        "test": float((unseen.argmax(1) == draw.truth).double().mean()),
    }


def problem_of(model: nn.Module, batch: Pair) -> Problem:
    return Problem(model, [batch], lambda out, b: cross_entropy(out, b[1]))


def measured(snapshot: Snapshot, metric: str) -> Measurement:
    found = measure(snapshot, metric)
    if (found.status != Status.ok).any():
        raise SystemExit(f"{metric} at step {snapshot.step}: {found.skipped}")
    return found


def decayed(network: str, noise: float, decay: float, seed: int) -> Numbers:
    """One run with momentum and a cosine: (kept epochs, QUANTITIES)."""
    draw = drawn(seed, noise)
    torch.manual_seed(seed)
    model = NETWORKS[network]()
    problem = problem_of(model, draw.train)
    sgd = torch.optim.SGD(model.parameters(), RATE, momentum=MOMENTUM, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(sgd, EPOCHS)
    generator, rows = torch.Generator().manual_seed(seed), []
    for epoch in range(1, EPOCHS + 1):
        one_epoch(model, sgd, draw.train, BATCH, generator)
        schedule.step()
        if epoch in KEPT:
            snapshot = snapshot_of(model, epoch, problem=problem)
            oui, rank = measured(snapshot, "oui"), measured(snapshot, "feature_rank")
            readout = rank.coords["layer"].index("last")
            numbers = losses(model, draw)
            numbers |= {"oui": oui.beside["model_pairs"][0], "rank": rank.values[readout]}
            rows.append([numbers[name] for name in QUANTITIES])
    return np.array(rows)


def one_epoch(
    model: nn.Module,
    sgd: torch.optim.Optimizer,
    pair: Pair,
    batch: int,
    generator: torch.Generator,
) -> None:
    images, labels = pair
    for chosen in torch.randperm(len(labels), generator=generator).split(batch):
        one_step(model, sgd, images[chosen], labels[chosen])


def one_step(model: nn.Module, sgd: torch.optim.Optimizer, images: Tensor, labels: Tensor) -> None:
    loss = cross_entropy(model(images), labels)
    sgd.zero_grad()
    loss.backward()
    sgd.step()


def turned(noise: float, rate: float, seed: int) -> Numbers:
    """One run of plain SGD: train and test accuracy, gap, then the rotation of each kernel."""
    draw = drawn(seed, noise)
    torch.manual_seed(seed)
    model = mlp(128, 128, norm=False)
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    sgd = torch.optim.SGD(model.parameters(), rate)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(TURNS):
        one_epoch(model, sgd, draw.train, TURN_BATCH, generator)
    found = losses(model, draw)
    snapshot = snapshot_of(model, TURNS, initial=Snapshot(0, Tensors.of(start)))
    rotation = measured(snapshot, "layer_rotation")
    gap = found["test_loss"] - found["train_loss"]
    return np.array([found["train"], found["test"], gap, *rotation.values])


@dataclass(frozen=True)
class Descent:
    """Plain SGD on `size` images, in batches of SMALL or (0) all at once."""

    size: int
    noise: float
    rate: float
    small: bool

    @property
    def batch(self) -> int:
        return SMALL if self.small else self.size


DESCENTS = tuple(Descent(*images, *how) for images, *how in product(SETS, GAP_RATES, (False, True)))
EARLIEST = tuple(one for one in DESCENTS if one.rate == GAP_RATES[0] and not one.noise)


def growth(descent: Descent, seed: int, steps: Sequence[int] = STEPS) -> Numbers:
    """Gap, gap_growth and training loss at `steps`, (steps, 3): the mean of two runs.

    Both start at the same weights; one trains on a set and is tested on another of the same size,
    the other the reverse. The first step of all at once then widens the mean gap by η|Ĝ - Ĝ'|²/2 to
    first order, without the term of first order in Ĝ - Ĝ' that a single gap has.
    """
    draw = drawn(seed, descent.noise, descent.size, descent.size)
    back = Draw(draw.held_out, draw.train, draw.train[1])
    return np.mean([_grown(pair, descent, seed, steps) for pair in (draw, back)], axis=0)


def _grown(draw: Draw, descent: Descent, seed: int, steps: Sequence[int]) -> Numbers:
    torch.manual_seed(seed)
    model = mlp(128, 128, norm=False)
    problem = problem_of(model, draw.train)
    sgd = torch.optim.SGD(model.parameters(), descent.rate)
    generator, rows = torch.Generator().manual_seed(seed), []
    waiting: list[Tensor] = []
    for step in range(steps[-1] + 1):
        if step in steps:
            snapshot = snapshot_of(model, step, optimizer=sgd, problem=problem)
            predicted = float(measured(snapshot, "gap_growth").values)
            found = losses(model, draw)
            rows.append([found["test_loss"] - found["train_loss"], predicted, found["train_loss"]])
        if not waiting:
            order = torch.randperm(descent.size, generator=generator)
            waiting = list(order.split(descent.batch))
        chosen = waiting.pop()
        one_step(model, sgd, draw.train[0][chosen], draw.train[1][chosen])
    return np.array(rows)


def integrated(per_step: Numbers, steps: Sequence[int] = STEPS) -> Numbers:
    """The sum over steps of what was measured at some of them, by trapezoids; 0 at the first."""
    between = (per_step[..., 1:] + per_step[..., :-1]) / 2 * np.diff(steps)
    start = np.zeros((*per_step.shape[:-1], 1))
    return np.concatenate([start, np.cumsum(between, axis=-1)], axis=-1)


@dataclass(frozen=True)
class Results:
    """All that is measured.

    decayed: (decays, seeds, kept epochs, QUANTITIES). turned: by noise, (rates, seeds,
    3 + kernels). growth: (seeds, STEPS, 3). first: (draws, FIRST, 3).
    """

    decayed: dict[Setting, Numbers]
    turned: dict[float, Numbers]
    growth: dict[Descent, Numbers]
    first: dict[Descent, Numbers]


def everything() -> Results:
    seeds = range(SEEDS)
    return Results(
        {
            key: np.array([[decayed(*key, decay, seed) for seed in seeds] for decay in DECAYS])
            for key in SETTINGS
        },
        {
            noise: np.array([[turned(noise, rate, seed) for seed in seeds] for rate in RATES])
            for noise in TURN_NOISES
        },
        {one: np.array([growth(one, seed) for seed in range(GAP_SEEDS)]) for one in DESCENTS},
        {one: np.array([growth(one, seed, FIRST) for seed in range(DRAWS)]) for one in EARLIEST},
    )
