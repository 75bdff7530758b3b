"""The gap is a difference of two means in NumPy, its error that of two samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from dyntools import hdf5
from dyntools.activations.mean_loss import MeanLoss, mean_loss
from dyntools.live import snapshot_of
from dyntools.measurement import Measurement, Status
from dyntools.measuring import measure
from dyntools.problem import Engine, Problem
from dyntools.problem.pieces import whole_pieces
from dyntools.problem.probe import probe_of
from dyntools.problem.risk import Risk
from tests.conftest import Outcome
from tests.processes import FIXTURES

Command = Callable[..., Outcome]
Array = NDArray[np.float64]
CLASSES, WIDTH = 3, 4
FLOAT64 = Engine(dtype=torch.float64)


def drawn(count: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, WIDTH, generator=generator, dtype=torch.float64)
    return x, torch.randint(CLASSES, (count,), generator=generator)


def model() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Linear(WIDTH, CLASSES).double()


def gap_of(problem: Problem) -> Measurement:
    return measure(snapshot_of(problem.model, 0, problem=problem), "validation_gap")


def nats(network: nn.Module, x: Tensor, y: Tensor) -> tuple[Array, Array]:
    """-log p of each label, and whether it is the most likely, in NumPy."""
    z = network(x).detach().numpy()
    p = np.exp(z - z.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    own = np.take_along_axis(p, y.numpy()[..., None], -1)[..., 0]
    return -np.log(own), (z.argmax(-1) == y.numpy()).astype(float)


def standard_error(losses: Array) -> float:
    return float(losses.std(ddof=1) / math.sqrt(losses.size))


@pytest.mark.parametrize("cut", [5, 40])
def test_two_samples_of_a_classifier(cut: int) -> None:
    network, (x, y), (u, v) = model(), drawn(40, 1), drawn(23, 2)
    training = list(zip(x.split(cut), y.split(cut), strict=True))
    found = gap_of(
        Problem(
            network,
            training,
            lambda z, batch: cross_entropy(z, batch[1]),
            validation=[(u, v)],
            engine=FLOAT64,
        )
    )
    (a, right), (b, of_validation) = nats(network, x, y), nats(network, u, v)
    assert float(found.values) == pytest.approx(b.mean() - a.mean(), rel=1e-12)
    assert float(found.error) == pytest.approx(
        math.hypot(standard_error(a), standard_error(b)), rel=1e-10
    )
    told = {name: float(value) for name, value in found.beside.items()}
    assert told["training_loss"] == pytest.approx(a.mean(), rel=1e-12)
    assert told["validation_loss"] == pytest.approx(b.mean(), rel=1e-12)
    assert told["training_error"] == pytest.approx(standard_error(a), rel=1e-10)
    assert told["training_accuracy"] == pytest.approx(right.mean())
    assert told["validation_accuracy"] == pytest.approx(of_validation.mean())
    assert told["accuracy_gap"] == pytest.approx(right.mean() - of_validation.mean())
    assert (told["training_terms"], told["validation_terms"]) == (40, 23)


def test_the_error_covers_the_gap_of_examples_of_one_kind() -> None:
    """Validation drawn as training is, at weights that saw neither: the true gap is zero."""
    network, pulls = model(), []
    params = {name: p.detach() for name, p in network.named_parameters()}

    def of(count: int, seed: int) -> MeanLoss:
        """Without guards and trials, so that many samples take no time."""
        problem = Problem.classification(network, [drawn(count, seed)])
        probe = probe_of(problem, torch.device("cpu"), torch.float64)
        names = {name: name for name in params}
        return mean_loss(Risk(problem, probe, params, {}, names, whole_pieces(probe)))

    for seed in range(100):
        training, held_out = of(60, 2 * seed), of(25, 2 * seed + 1)
        error = math.hypot(training.error, held_out.error)
        pulls.append((held_out.value - training.value) / error)
    assert abs(np.mean(pulls)) < 0.3
    assert 0.8 < np.std(pulls) < 1.25


class Table(nn.Module):
    """A token's logits."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.table = nn.Parameter(torch.randn(5, 5, generator=generator, dtype=torch.float64))

    def forward(self, ids: Tensor) -> Tensor:
        return self.table[ids]


def test_examples_of_unequal_length_weigh_by_their_tokens() -> None:
    """The error is a ratio's: by the jackknife over examples, up to a share of 1/n."""
    generator = np.random.default_rng(0)
    ids = torch.from_numpy(generator.integers(5, size=(60, 12)))
    labels, lengths = ids.clone(), generator.integers(4, 13, size=60)
    for row, length in enumerate(lengths):
        labels[row, length:] = -100
    held_out = {"input_ids": ids[:30].flip(1), "labels": ids[:30].flip(1)}
    network = Table()
    problem = Problem.language_model(
        network, [{"input_ids": ids, "labels": labels}], validation=[held_out]
    )
    found = gap_of(replace(problem, engine=FLOAT64))
    sums = np.zeros(60)
    for row, length in enumerate(lengths):
        losses, _ = nats(network, ids[row : row + 1, : length - 1], ids[row : row + 1, 1:length])
        sums[row] = losses.sum()
    counts = lengths - 1
    assert float(found.beside["training_loss"]) == pytest.approx(sums.sum() / counts.sum())
    assert float(found.beside["training_terms"]) == counts.sum()
    without = (sums.sum() - sums) / (counts.sum() - counts)
    jackknife = math.sqrt(59 * without.var())
    assert float(found.beside["training_error"]) == pytest.approx(jackknife, rel=0.05)


def test_another_loss_has_a_gap_and_no_accuracy() -> None:
    network, (x, _), (u, _) = model(), drawn(20, 1), drawn(10, 2)
    targets, others = torch.ones(20, CLASSES), torch.ones(10, CLASSES)
    problem = Problem(
        network,
        [(x, targets.double())],
        lambda z, batch: mse_loss(z, batch[1]),
        validation=[(u, others.double())],
        engine=FLOAT64,
    )
    found = gap_of(problem)
    a = ((network(x).detach() - 1) ** 2).mean(1).numpy()
    b = ((network(u).detach() - 1) ** 2).mean(1).numpy()
    assert float(found.values) == pytest.approx(b.mean() - a.mean(), rel=1e-12)
    assert math.isnan(found.beside["training_accuracy"])
    assert "no accuracies" in found.method


def test_under_batch_statistics_the_units_are_batches() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.BatchNorm1d(WIDTH), nn.Linear(WIDTH, CLASSES)).double()
    (x, y), (u, v) = drawn(40, 1), drawn(30, 2)
    problem = Problem(
        network,
        list(zip(x.split(10), y.split(10), strict=True)),
        lambda z, batch: cross_entropy(z, batch[1]),
        validation=list(zip(u.split(10), v.split(10), strict=True)),
        mode="train",
        engine=FLOAT64,
    )
    found = gap_of(problem)

    def means(inputs: Tensor, labels: Tensor) -> Array:
        means = []
        for a, b in zip(inputs.split(10), labels.split(10), strict=True):
            normal = (a - a.mean(0)) / (a.var(0, correction=0) + 1e-5).sqrt()
            means.append(nats(network[1], normal, b)[0].mean())
        return np.array(means)

    a, b = means(x, y), means(u, v)
    assert float(found.values) == pytest.approx(b.mean() - a.mean(), rel=1e-9)
    expected = math.hypot(standard_error(a), standard_error(b))
    assert float(found.error) == pytest.approx(expected, rel=1e-8)
    assert "3 validation and 4 training batches" in found.method


def test_without_validation_there_is_no_number_but_a_reason() -> None:
    problem = Problem.classification(model(), [drawn(20, 1)])
    found = gap_of(replace(problem, engine=FLOAT64))
    assert found.status.tolist() == Status.skipped
    assert math.isnan(found.values)
    assert "validation" in found.skipped[""]


def test_the_same_examples_twice_are_no_validation() -> None:
    found = gap_of(Problem.classification(model().float(), [drawn(9, 1)], validation=[drawn(9, 1)]))
    assert not (found.status == Status.ok).any()
    assert "are those of training" in found.skipped[""]


GPT = FIXTURES / "runs" / "tiny-gpt"


def test_a_text_from_the_command_line(dyntools: Command, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("tokenizers")
    text = (GPT / "text.txt").read_text()
    (tmp_path / "a.txt").write_text(text[: len(text) // 2])
    (tmp_path / "b.txt").write_text(text[len(text) // 2 :])
    outcome = dyntools(
        *("analyze", GPT, "--text", tmp_path / "a.txt", "--validation", tmp_path / "b.txt"),
        *("--examples", 16, "--last", "--metric", "validation_gap", "-o", "r.h5"),
    )
    assert outcome.code == 0, outcome.err
    report = hdf5.read(Path("r.h5"))
    series = report["validation_gap"]
    assert series.settings["validation"].endswith(": 16 examples")
    assert series.settings["probe"] != series.settings["validation"]
    problem = report.attributes["problem"]
    assert series.settings["validation"].startswith(problem["validation_hash"])
    refused = dyntools("analyze", GPT, "--text", tmp_path / "a.txt", "--metric", "validation_gap")
    assert refused.code == 2
    assert "--validation FILE" in " ".join(refused.err.split())
    alone = dyntools("analyze", GPT, "--validation", tmp_path / "b.txt")
    assert alone.code == 2
    assert "--validation goes with a text" in alone.err
