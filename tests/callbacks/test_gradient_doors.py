"""Metrics of gradients and activations: one number through every door, and training unmoved.

Measured by a recorder, by the library on the live model, and from the checkpoint saved at that
step, also by the command line: the same bits, as all of them compute on the same tensors in the
same order. And the training that was watched so ends as the one that was not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dyntools import Problem, hdf5, snapshot_of
from dyntools.callbacks import Recorder, at
from dyntools.journal import Row
from dyntools.measurement import Measurement
from dyntools.measuring import measure_all
from dyntools.metrics import PRESETS, find
from dyntools.opening import open_run
from dyntools.plan import Task
from dyntools.report import Series
from dyntools.run import snapshots
from dyntools.snapshot import Snapshot, Tensors
from tests.conftest import Outcome
from tests.trainings import Loop, TinyGPT, batch, cnn, differences, loss_of, seeded, train

STEPS = (2, 9)
# What looks at the step before is under test_doors.py; a training that goes on has no last one.
NAMES = tuple(
    name
    for name in (*PRESETS["gradients"], *PRESETS["activations"])
    if not {"previous", "final"} & set(find(name).needs)
)
TASKS = [Task(find(name), find(name).defaults) for name in NAMES]
OF_TRAINING = [task for task in TASKS if "gradients" in task.metric.needs]
Door = Mapping[tuple[str, int], Measurement]
Of = Callable[[nn.Module], Problem]


def cut(make: Callable[[], nn.Module], model: nn.Module, **settings: Any) -> Problem:
    """Three batches, the last one shorter, and one of validation."""
    seeded(7)
    given, other = [batch(make, size) for size in (16, 16, 9)], [batch(make, 12)]
    return Problem(model, given, loss_of, validation=other, **settings)


# The network that is trained, and what the problem is made of: mostly a network of its own.
CASES: dict[str, tuple[Callable[[], nn.Module], Of]] = {
    "gpt": (TinyGPT, lambda live: cut(TinyGPT, TinyGPT())),
    "cnn by batch statistics": (cnn, lambda live: cut(cnn, cnn(), mode="train")),
    "the cnn that is trained": (cnn, lambda live: cut(cnn, live)),
}


@dataclass
class Watching:
    """A recorder, the library beside it, and checkpoints of the same steps."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    problem: Problem
    folder: Path
    rows: list[Row] = field(default_factory=list)
    library: list[Row] = field(default_factory=list)
    gradients: dict[int, Tensors] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.saved.mkdir(parents=True)
        start = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        self.initial = Snapshot(0, Tensors.of(start))
        self.save(0)
        self.recorder = Recorder(
            self.model,
            self.optimizer,
            problem=self.problem,
            metrics=NAMES,
            schedule=at(*STEPS),
            path=self.folder / "live" / "live.jsonl",
            budget=1.0,
            sinks=[lambda step, scalars, found: self.rows.extend(found)],
        )

    @property
    def saved(self) -> Path:
        return self.folder / "saved"

    def step(self, step: int, **scalars: float) -> None:
        self.recorder.step(step, **scalars)
        if step not in STEPS:
            return
        told = {"optimizer": self.optimizer, "problem": self.problem, "initial": self.initial}
        here = snapshot_of(self.model, step, **told)
        self.library.extend(measure_all(here, TASKS))
        self.gradients[step] = Tensors.of(
            {n: p.grad.clone() for n, p in self.model.named_parameters() if p.grad is not None}
        )
        self.save(step)

    def save(self, step: int) -> None:
        content = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        torch.save(content | {"step": step}, self.saved / f"step_{step}.pt")

    def close(self) -> None:
        self.recorder.close()


@dataclass(frozen=True)
class Watched:
    """doors: recorder, library, disk, and disk with the gradients of training beside it."""

    case: str
    changed: list[str]
    doors: Mapping[str, Door]
    saved: Path


@pytest.fixture(scope="module", params=CASES)
def watched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    make, of = CASES[request.param]
    loop, folder, kept = Loop(make, steps=12), tmp_path_factory.mktemp("run"), []

    def watching(model: nn.Module, optimizer: torch.optim.Optimizer) -> Watching:
        kept.append(Watching(model, optimizer, of(model), folder))
        return kept[0]

    torch.set_num_threads(1)
    changed = differences(train(loop), train(loop, watching))
    (live,) = kept
    problem = of(make())
    disk, beside = [], []
    for snapshot in snapshots(open_run(live.saved), problem=problem):
        disk.extend(measure_all(snapshot, TASKS))
        if snapshot.step in STEPS:
            told = replace(snapshot, gradients=live.gradients[snapshot.step], _computed={})
            beside.extend(measure_all(told, OF_TRAINING))
    doors = {"recorder": live.rows, "library": live.library, "disk": disk, "beside": beside}
    return Watched(
        request.param,
        changed,
        {name: {(r.metric, r.step): r.measurement for r in rows} for name, rows in doors.items()},
        live.saved,
    )


def bits(found: Measurement | Series, step: int | None = None) -> dict[str, object]:
    """All that a measurement says but its cost; of a series at one step."""
    row = ... if step is None or isinstance(found, Measurement) else found.index(step)
    arrays = {"values": found.values, "status": found.status, **found.beside}
    arrays |= {} if found.error is None else {"error": found.error}
    told = {name: (array[row].shape, array[row].tobytes()) for name, array in arrays.items()}
    return {**told, "dims": found.dims, "coords": dict(found.coords)}


def test_training_ends_the_same_to_the_last_bit(watched: Watched) -> None:
    """Weights, running statistics, optimizer, gradients, modes, hooks, random numbers, losses."""
    assert watched.changed == []


@pytest.mark.parametrize("name", NAMES)
def test_every_door_gives_the_same_bits(name: str, watched: Watched) -> None:
    """But that a recorder has the gradients of training, where the others take the problem's."""
    doors, of_training = watched.doors, "gradients" in find(name).needs
    for step in STEPS:
        here = (name, step)
        assert bits(doors["library"][here]) == bits(doors["disk"][here])
        other = "beside" if of_training else "disk"
        assert bits(doors["recorder"][here]) == bits(doors[other][here])
        assert doors["recorder"][here].method == doors[other][here].method


@pytest.mark.parametrize("name", NAMES)
def test_what_was_compared_are_numbers_that_change(name: str, watched: Watched) -> None:
    """NaN equals NaN above, and a door that always shows the first step would agree with itself."""
    if name == "attention_logits" and watched.case != "gpt":
        return  # there is no attention
    for door in ("recorder", "library"):
        found = [watched.doors[door][name, step] for step in STEPS]
        for one in found:
            # Of three batches the noise scale may be none, and is what stands beside it.
            assert any(np.isfinite(array).any() for array in (one.values, *one.beside.values()))
        assert len({repr(bits(one)) for one in found}) == len(STEPS)


def test_the_command_line_seals_these_numbers(
    watched: Watched, dyntools: Callable[..., Outcome], tmp_path: Path
) -> None:
    """From another reading of the same files, through journal and HDF5."""
    (tmp_path / "loss.py").write_text(
        "from tests.callbacks.test_gradient_doors import CASES\n"
        f"make, of = CASES[{watched.case!r}]\n"
        "def problem():\n    return of(make())\n"
    )
    asked = [word for name in NAMES for word in ("--metric", name)]
    loss = ("--problem", f"{tmp_path / 'loss.py'}:problem")
    outcome = dyntools("analyze", watched.saved, *loss, *asked, "-o", "r.h5")
    assert outcome.code == 0, outcome.err
    report = hdf5.read(tmp_path / "r.h5")
    assert set(report.series) == set(NAMES)
    for name, step in watched.doors["library"]:
        want = bits(watched.doors["library"][name, step])
        assert bits(report[name], step) == want, (name, step)
