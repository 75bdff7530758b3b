"""What all metrics of activations cost together, in forward passes over their probe; writes a page.

    python docs/benchmarks/activations.py [--cases mlp cnn gpt gpt-128] [--rounds 9] [--page FILE]

The unit is `model(inputs)` without a graph on the examples of the probe, on the same thread: all at
once, or in the pieces of the pass, whichever is faster. Beside it stand all metrics of the group,
measured together on a fresh snapshot as `dyntools analyze` does at a checkpoint in the middle of a
run: the initial one, the one before and the last are there and have been measured. The pass is what
all share; the rest is read off it, and does not grow with the probe beyond 256 rows of features a
layer. The models are those of `curvature_models.py`; `gpt-128` has the 16 sequences of the recipe
eight times, which costs as much as others would. Rounds go through all cases in turn, so that a
machine that becomes slow meets each alike; the table holds medians of CPU seconds. Memory is the
peak of the tensors alive beyond those before.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent))
import curvature_models as models

from dyntools import Problem
from dyntools.activations.probe_pass import activations_of, pieces_of
from dyntools.measuring import measure_all
from dyntools.metrics.activations import ACTIVATIONS
from dyntools.plan import Task
from dyntools.problem.memory import footprint
from dyntools.snapshot import Snapshot, Tensors

GOAL = 2.0  # forward passes; chosen
CASES = {"mlp": ("mlp", 2000, 1), "cnn": ("cnn", 512, 1), "gpt": ("gpt", 16, 1)}
CASES["gpt-128"] = ("gpt", 16, 8)  # model, examples, how often each; the gpt's of 128 tokens
TASKS = tuple(Task(metric, metric.settings({})) for metric in ACTIVATIONS)


class Case:
    """A model, its forward pass and its metrics."""

    def __init__(self, name: str, work: Path) -> None:
        which, examples, times = CASES[name]
        task = models.load(which, work, examples=examples)
        targets = task.targets.view(len(task.inputs), -1) if which == "gpt" else task.targets
        self.model, self.inputs = task.model, torch.cat([task.inputs] * times)
        self.problem = Problem(self.model, [(self.inputs, torch.cat([targets] * times))], _loss)
        self.params = {name: p.detach() for name, p in self.model.named_parameters()}
        self.others = [
            Snapshot(step, Tensors.of(_moved(self.params, step)), problem=self.problem)
            for step in (0, 1, 3)
        ]
        measured(self.others[1])
        self.piece = pieces_of(self.snapshot().risk()) or len(self.inputs)

    def forward(self) -> None:
        with torch.no_grad():
            self.model(self.inputs)

    def in_pieces(self) -> None:
        with torch.no_grad():
            for part in self.inputs.split(self.piece):
                self.model(part)

    def snapshot(self) -> Snapshot:
        initial, previous, final = self.others
        return Snapshot(
            2,
            Tensors.of(self.params),
            problem=self.problem,
            initial=initial,
            previous=previous,
            final=final,
        )

    def metrics(self) -> None:
        measured(self.snapshot())

    def passed(self) -> None:
        activations_of(self.snapshot().risk())

    def sites(self) -> int:
        return len(activations_of(self.snapshot().risk()).scales)


def measured(snapshot: Snapshot) -> None:
    """Raises RuntimeError where a metric broke."""
    for row in measure_all(snapshot, TASKS):
        if any("raised" in reason for reason in row.measurement.skipped.values()):
            raise RuntimeError(f"{row.metric}: {row.measurement.skipped}")


def _moved(params: dict[str, Tensor], step: int) -> dict[str, Tensor]:
    """The parameters of another step."""
    generator = torch.Generator().manual_seed(step)
    return {
        name: p + 0.01 * p.abs().mean() * torch.randn(p.shape, generator=generator)
        for name, p in params.items()
    }


def _loss(outputs: Tensor, batch: tuple[Tensor, Tensor]) -> Tensor:
    return F.cross_entropy(outputs.flatten(0, -2), batch[1].flatten())


def seconds(run: Callable[[], None]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


def rounds_of(cases: dict[str, Case], rounds: int) -> dict[str, list[list[float]]]:
    """Seconds of a forward pass, one in pieces, the metrics and the pass: by rounds, by cases."""
    found: dict[str, list[list[float]]] = {name: [] for name in cases}
    for case in cases.values():  # caches, and the size of the pieces
        case.forward(), case.in_pieces(), case.metrics()
    for _ in range(rounds):
        for name, case in cases.items():
            runs = (case.forward, case.in_pieces, case.metrics, case.passed)
            found[name].append([seconds(run) for run in runs])
    return found


def table(cases: dict[str, Case], found: dict[str, list[list[float]]]) -> list[str]:
    lines = [
        "| case | examples | sites | forward at once, ms | in pieces, ms | all metrics | quartiles "
        "| the pass alone | goal | tensors of a forward, MiB | of the metrics, MiB |",
        "| --- " + "| ---: " * 10 + "|",
    ]
    for name, case in cases.items():
        whole, cut = (1e3 * median(row[i] for row in found[name]) for i in (0, 1))
        which = 0 if whole < cut else 1
        ratios = sorted(row[2] / row[which] for row in found[name])
        passes = median(row[3] / row[which] for row in found[name])
        ratio, n = median(ratios), len(ratios)
        memory = [footprint(run)[1].peak / 2**20 for run in (case.forward, case.metrics)]
        cells = [
            *(name, str(len(case.inputs)), str(case.sites())),
            *(f"{whole:.1f}", f"{cut:.1f}"),
            *(f"{ratio:.2f}", f"{ratios[n // 4]:.2f}–{ratios[-1 - n // 4]:.2f}", f"{passes:.2f}"),
            "met" if ratio <= GOAL else "not met",
            *(f"{peak:.1f}" for peak in memory),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def by_metric(cases: dict[str, Case], rounds: int) -> list[str]:
    """What each metric takes beyond what others have computed for it."""
    found: dict[str, dict[str, list[float]]] = {task.name: {} for task in TASKS}
    for _ in range(rounds):
        for name, case in cases.items():
            for row in measure_all(case.snapshot(), TASKS):
                found[row.metric].setdefault(name, []).append(row.seconds)
    lines = [
        "| metric, ms | " + " | ".join(cases) + " |",
        "| --- " + "| ---: " * len(cases) + "|",
    ]
    for metric, each in found.items():
        cells = [f"{1e3 * median(each[name]):.1f}" if name in each else "–" for name in cases]
        lines.append(f"| `{metric}` | " + " | ".join(cells) + " |")
    told = (
        "Wall milliseconds of each metric, in the order in which they are measured. The first "
        "makes the pass for all, and compares with the last checkpoint's, which is there already; "
        "what follows is read off it."
    )
    return ["", textwrap.fill(told, 120), "", *lines]


def page(command: str, rounds: int, rows: list[str]) -> str:
    told = (
        f"Made by `{command}` with torch {torch.__version__} on one thread: "
        f"CPU seconds, medians of {rounds} rounds. The unit is one plain forward pass over the "
        f"probe, at once or in pieces, whichever is faster; the goal is {GOAL:g} of them for all "
        f"{len(TASKS)} metrics of the group, the pass itself included; `validation_gap` has no "
        "validation batches to measure here. What is compared is said at the top of the "
        "script."
    )
    why = (
        "The pass reads every output of every module once more, to find its largest entry and the "
        "size of its units, and that takes about as long as a small model takes to compute them. "
        "What is read off the pass afterwards takes milliseconds a layer whatever the probe, but "
        "for `output_drift`, which compares up to 16384 terms; so it outweighs a forward pass of "
        "ten milliseconds."
    )
    return "\n".join(
        [
            "# Metrics of activations",
            "",
            textwrap.fill(told, 120),
            "",
            textwrap.fill(why, 120),
            "",
            *rows,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "models")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cases = {name: Case(name, given.work) for name in given.cases}
    rows = table(cases, rounds_of(cases, given.rounds)) + by_metric(cases, given.rounds)
    print("\n".join(rows))
    if given.page is not None:
        command = f"python docs/benchmarks/activations.py --cases {' '.join(given.cases)}"
        given.page.write_text(page(f"{command} --rounds {given.rounds}", given.rounds, rows))


if __name__ == "__main__":
    main()
