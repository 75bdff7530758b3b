"""Measured live, or from the checkpoint saved at that step: the same numbers in every bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dyntools.callbacks import Recorder, at
from dyntools.journal import Row
from dyntools.measuring import measure_all
from dyntools.metrics import METRICS
from dyntools.opening import open_run
from dyntools.plan import Task
from dyntools.run import snapshots
from tests.trainings import TinyGPT, batch, loss_of, problem_of, seeded

STEPS = (0, 4, 8)
# What needs the log alone is the same function of it; gradients of training are in no checkpoint,
# a training that goes on has no last one, and this problem no validation examples.
NAMES = [m.name for m in METRICS if not {"log", "gradients", "final", "validation"} & set(m.needs)]


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, dict]:
    folder = tmp_path_factory.mktemp("run")
    problem = problem_of(TinyGPT)
    seeded(0)
    model = TinyGPT()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    rows: list[Row] = []

    def sink(step: int, scalars: object, found: list[Row]) -> None:
        rows.extend(found)

    settings = {"schedule": at(*STEPS), "budget": 1.0, "sinks": [sink]}
    path = folder / "live" / "live.jsonl"
    (folder / "saved").mkdir()
    with Recorder(model, optimizer, problem=problem, metrics=NAMES, path=path, **settings) as rec:
        for step in range(STEPS[-1] + 1):
            if step:
                given = batch(TinyGPT)
                optimizer.zero_grad()
                loss_of(model(given[0]), given).backward()
                optimizer.step()
            rec.step(step)
            if step in STEPS:
                content = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
                torch.save(content | {"step": step}, folder / "saved" / f"step_{step}.pt")
    run = open_run(folder / "saved")
    tasks = [Task(m, m.settings({})) for m in METRICS if m.name in NAMES]
    saved = [r for s in snapshots(run, problem=problem) for r in measure_all(s, tasks)]
    return tuple({(row.metric, row.step): row for row in found} for found in (rows, saved))


@pytest.mark.parametrize("name", NAMES)
def test_live_and_saved_agree_in_every_bit(name: str, doors: tuple[dict, dict]) -> None:
    for step in STEPS:
        live, saved = (door[name, step].measurement for door in doors)
        assert live.dims == saved.dims
        assert live.coords == saved.coords
        np.testing.assert_array_equal(live.status, saved.status)
        assert live.values.tobytes() == saved.values.tobytes()
        assert (live.error is None) == (saved.error is None)
        if live.error is not None:
            assert live.error.tobytes() == saved.error.tobytes()
        for key in live.beside:
            assert live.beside[key].tobytes() == saved.beside[key].tobytes(), key


def test_most_metrics_have_a_value(doors: tuple[dict, dict]) -> None:
    empty = [name for name in NAMES if not (doors[0][name, 8].measurement.status == 0).any()]
    # Too few eigenvalues for a tail; no embedding of this model is named as one.
    assert set(empty) <= {"spectral_alpha", "embedding_anisotropy"}
