"""Every log that a real library wrote, against what was handed to it (`fixtures/make_logs.py`)."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from dyntools.log import Role, merge
from dyntools.logs import find

FIXTURES = Path(__file__).parents[2] / "fixtures"
LOGS = FIXTURES / "logs"
EXPORTED = "run-1 - "  # of the two runs in W&B's export, the longer
FOLDERS = {"both_train/both": "both/train", "both_val/both": "both/val"}  # `add_scalars`


def expected(kind):
    truth = json.loads((FIXTURES / "expected" / f"log-{kind}.json").read_text())
    if kind == "wandb-export":
        truth = {n.removeprefix(EXPORTED): v for n, v in truth.items() if n.startswith(EXPORTED)}
    return {FOLDERS.get(name, name): values for name, values in truth.items()}


@pytest.mark.parametrize("kind", sorted(path.name for path in LOGS.iterdir()))
def test_every_point_is_as_it_was_written(kind, points):
    logs, damaged = find(LOGS / kind)
    merged = merge(logs)
    found, truth = points(merged), expected(kind)
    assert damaged == []
    assert sorted(found) == sorted(truth)
    for name, values in truth.items():
        assert np.array_equal(found[name], np.array(values), equal_nan=True), name
    assert merged.roles[Role.train_loss] == "train/loss"


def test_times_of_day():
    for kind in ("jsonl", "tensorboard", "mlflow", "mlruns"):
        curve = merge(find(LOGS / kind)[0]).curves["train/loss"]
        assert curve.wall is not None
        assert np.array_equal(curve.wall, 1767268800.0 + curve.steps), kind


def test_the_same_run_in_every_format_is_the_same_run():
    kinds = ("jsonl", "mlflow", "mlruns", "csv")
    curves = [merge(find(LOGS / kind)[0]).curves["val/loss"].values for kind in kinds]
    assert all(np.array_equal(curves[0], other) for other in curves[1:])


def test_a_damaged_json_log():
    (log,), damaged = find(FIXTURES / "damaged/plain/log.jsonl")
    assert damaged == []
    assert len(log.notes) == 3
    values = [value for curve in log.curves.values() for value in curve.values]
    assert any(map(math.isnan, values))
    assert any(map(math.isinf, values))


def test_text_under_the_name_of_a_checkpoint_is_no_log():
    """A table in `step-00040.pt` was once read as the log of the run."""
    logs, damaged = find(FIXTURES / "damaged/plain")
    assert ([log.sources for log in logs], damaged) == ([("log.jsonl",)], [])
