"""Sinks: what is handed to each tracker, by objects that remember it; the real ones where there."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dyntools.callbacks import Recorder, at, sinks
from dyntools.journal import Row
from dyntools.measurement import Measurement, Status, per_layer, skipped
from tests.processes import python

NAMES = Measurement(
    np.array([[1.0, 2.0]]), ("layer", "axes"), {"layer": ("a.b",), "axes": ("0", "0,1")}
)
ROWS = [
    Row("weight_norm", 7, 0.1, per_layer({"a.b": 1.5, "c": math.nan}, skipped={"d": "1-d"})),
    Row("loss_gap", 7, 0.1, Measurement(np.array(0.25))),
    Row("snr", 7, 0.1, NAMES),
    Row("top", 7, 0.1, Measurement(np.array([3.0, 2.0]), ("k",), {"k": (0, 1)})),
    Row("density", 7, 0.1, Measurement(np.zeros(100), ("x",), {"x": tuple(range(100))})),
    Row("gone", 7, 0.1, skipped("no log")),
]
FLAT = {
    "dyn/weight_norm/a.b": 1.5,
    "dyn/loss_gap": 0.25,
    "dyn/snr/a.b/0": 1.0,
    "dyn/snr/a.b/0,1": 2.0,
    "dyn/top/0": 3.0,
    "dyn/top/1": 2.0,
}


class Remembers:
    """Any method; its calls are kept."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *given, **named: self.calls.append((name, given, named))


def test_rows_are_flattened_without_what_is_no_scalar() -> None:
    assert sinks.flattened(ROWS) == FLAT
    assert list(sinks.flattened(ROWS)) == list(FLAT)


def test_what_did_not_converge_or_is_infinite_stays_in_the_journal() -> None:
    part = Measurement(
        np.array([1.0, math.inf, 2.0]),
        ("layer",),
        {"layer": ("a", "b", "c")},
        status=np.array([Status.unconverged, Status.ok, Status.ok]),
    )
    assert sinks.flattened([Row("m", 1, 0.0, part)]) == {"dyn/m/c": 2.0}


def test_tensorboard_gets_each_scalar_at_the_step() -> None:
    writer = Remembers()
    sinks.tensorboard(writer)(7, {"loss": 1.0}, ROWS)
    assert writer.calls == [("add_scalar", (name, value, 7), {}) for name, value in FLAT.items()]


def test_wandb_has_an_axis_of_its_own_and_is_never_given_a_step() -> None:
    run = Remembers()
    sink = sinks.wandb(run)
    assert run.calls == [
        ("define_metric", ("dyn/step",), {}),
        ("define_metric", ("dyn/*",), {"step_metric": "dyn/step"}),
    ]
    run.calls.clear()
    sink(7, {"loss": 1.0}, ROWS)
    assert run.calls == [("log", ({"dyn/step": 7, **FLAT},), {"commit": True})]


def test_mlflow_gets_names_that_it_takes() -> None:
    module = Remembers()
    sinks.mlflow(module, run_id="abc")(7, {}, ROWS)
    ((name, (values,), named),) = module.calls
    assert (name, named) == ("log_metrics", {"step": 7, "run_id": "abc"})
    assert set(values) == {key.replace(",", "_") for key in FLAT}


def test_trackio_and_the_loggers_of_hosts() -> None:
    run, logger, trainer = Remembers(), Remembers(), Remembers()
    sinks.trackio(run)(7, {}, ROWS)
    assert run.calls == [("log", ({"dyn/step": 7, **FLAT},), {"step": 7})]
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(_batches_that_stepped=6))
    sinks.lightning(SimpleNamespace(loggers=[logger], fit_loop=loop))(7, {}, ROWS)
    assert logger.calls == [("log_metrics", (FLAT,), {"step": 6})]
    sinks.hugging_face(trainer)(7, {}, ROWS)
    assert trainer.calls == [("log", (FLAT,), {})]


@pytest.mark.parametrize(
    "make", [sinks.tensorboard, sinks.wandb, sinks.mlflow, sinks.trackio, sinks.hugging_face]
)
def test_nothing_is_said_where_nothing_was_measured(make: Any) -> None:
    tracker = Remembers()
    sink = make(tracker)
    tracker.calls.clear()
    sink(7, {"loss": 1.0}, [])
    sink(7, {"loss": 1.0}, ROWS[-1:])
    assert tracker.calls == []


def recorded(sink: Any, folder: Path) -> dict[str, float]:
    """Two reports of a small model into a sink; the values that were measured at step 3."""
    torch.manual_seed(0)
    model, seen = nn.Linear(3, 2), {}
    watching = [sink, lambda step, scalars, rows: seen.update({step: sinks.flattened(rows)})]
    with Recorder(
        model, metrics=["weight_norm"], schedule=at(1, 3), budget=1, sinks=watching,
        path=folder / "live.jsonl",
    ) as recorder:  # fmt: skip
        for step in range(1, 4):
            recorder.step(step, loss=1.0 / step)
    assert list(seen) == [1, 2, 3]
    assert set(seen[3]) == {"dyn/weight_norm/weight", "dyn/weight_norm/bias"}
    return seen[3]


@pytest.mark.host
@pytest.mark.filterwarnings("ignore")
def test_tensorboard_itself_reads_back_what_was_measured(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "tb")) as writer:
        values = recorded(sinks.tensorboard(writer), tmp_path)
    found = EventAccumulator(str(tmp_path / "tb")).Reload()
    for name, value in values.items():
        events = found.Scalars(name)
        assert [event.step for event in events] == [1, 3]
        assert events[-1].value == np.float32(value)


# Each in a process of its own: they read the environment when they are imported, and leave threads.
TRACKERS = {
    "mlflow": """
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"  # needs no database
import mlflow
mlflow.set_tracking_uri(Path("mlruns").absolute().as_uri())
with mlflow.start_run() as run:
    values = recorded(sinks.mlflow(mlflow), Path())
for name, value in values.items():
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, name)
    assert [point.step for point in history] == [1, 3], history
    assert history[-1].value == value, history
""",
    "wandb": """
import wandb
with wandb.init(mode="offline", settings=wandb.Settings(silent=True)) as run:
    run.log({"loss": 1.0}, step=5)  # the loop's own, ahead of ours: none of ours is lost
    values = recorded(sinks.wandb(run), Path())
    assert run.summary.get("dyn/step") == 3
    assert {name: run.summary.get(name) for name in values} == values
""",
    "trackio": """
os.environ |= {"TRACKIO_DIR": os.path.abspath("trackio"), "HF_HUB_OFFLINE": "1"}
import trackio
from trackio.sqlite_storage import SQLiteStorage
run = trackio.init(project="live", name="one")
values = recorded(sinks.trackio(run), Path())
trackio.finish()
rows = SQLiteStorage.get_logs("live", "one")
assert [(row["step"], row["dyn/step"]) for row in rows] == [(1, 1), (3, 3)], rows
assert {name: rows[-1][name] for name in values} == values, rows
""",
}
GIVEN = """
import os
from pathlib import Path
from dyntools.callbacks import sinks
from tests.callbacks.test_sinks import recorded
"""


@pytest.mark.host
@pytest.mark.parametrize("tracker", TRACKERS)
def test_the_tracker_itself_has_what_was_measured(tracker: str, tmp_path: Path) -> None:
    if not find_spec(tracker):
        pytest.skip(f"the extra `{tracker}` is not installed")
    done = python(GIVEN + TRACKERS[tracker], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
