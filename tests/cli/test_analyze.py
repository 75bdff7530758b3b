"""The main job, as a person runs it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dyntools import hdf5
from dyntools.metrics import PRESETS
from tests.conftest import Outcome
from tests.processes import FIXTURES, ROOT

Command = Callable[..., Outcome]
MLP = FIXTURES / "runs/digits-mlp"


def test_without_options_it_measures_writes_and_says_what_to_do(dyntools: Command) -> None:
    outcome = dyntools("analyze", MLP)
    assert outcome.code == 0, outcome.err
    report = hdf5.read(Path("digits-mlp.h5"))
    assert {"layer_rotation", "effective_rank", "generalization_gap"} <= set(report.series)
    assert "layer_rotation" in outcome.out or "rotation" in outcome.out
    assert "overfit" in outcome.out
    assert "dyntools show digits-mlp.h5" in outcome.out
    assert all(len(line) <= 100 for line in outcome.out.splitlines())


def test_a_second_time_it_refuses_and_forced_it_does_not(
    dyntools: Command, small_run: Path
) -> None:
    assert dyntools("analyze", small_run).code == 0
    again = dyntools("analyze", small_run)
    assert again.code == 2
    assert "--force" in again.err
    assert dyntools("analyze", small_run, "--force").code == 0


def test_only_the_metrics_and_steps_asked_for(dyntools: Command, small_run: Path) -> None:
    options = ["--metric", "effective_rank", "--metric", "weight_norm", "--steps", "0,20"]
    assert dyntools("analyze", small_run, "-o", "r.h5", *options).code == 0
    report = hdf5.read(Path("r.h5"))
    assert set(report.series) == {"effective_rank", "weight_norm"}
    assert report["weight_norm"].steps.tolist() == [0, 20]


@pytest.mark.parametrize(
    ("option", "steps"),
    [(["--last"], [40]), (["--every", "2"], [0, 20, 40]), (["--every", "3"], [0, 40])],
)
def test_some_checkpoints(
    option: list[str], steps: list[int], dyntools: Command, small_run: Path
) -> None:
    dyntools("analyze", small_run, "-o", "r.h5", "--metric", "weight_norm", *option)
    assert hdf5.read(Path("r.h5"))["weight_norm"].steps.tolist() == steps


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--steps", "7"], "no checkpoint at step 7"),
        (["--steps", "a,b"], "whole numbers"),
        (["--steps", "0", "--last"], "exclude one another"),
        (["--metric", "layer_rotaton"], "layer_rotation"),
        (["--metric", "layer_rotation:k=3"], "no setting"),
        (["--preset", "some"], "no preset"),
        (["--device", "cuda:77"], "no device"),
        (["--shard", "3/2"], "1 <= i <= n"),
        (["--role", "train_loss"], "ROLE=NAME"),
        (["--role", "train_loss=a", "--role", "train_loss=b"], "given twice"),
        (["--role", "train_los=train/loss"], "train_loss"),
        (["--initial", "nowhere.pt"], "nowhere.pt"),
        (["-o", "/proc/none/r.h5"], "cannot be written"),
    ],
)
def test_each_mistake_is_a_sentence_and_nothing_is_left_behind(
    arguments: list[str], sentence: str, dyntools: Command, small_run: Path, tmp_path: Path
) -> None:
    outcome = dyntools("analyze", small_run, *arguments)
    assert outcome.code == 2
    assert sentence in outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small-run"]


def test_shards_then_merge(dyntools: Command, small_run: Path) -> None:
    for i in (1, 2):
        assert dyntools("analyze", small_run, "--shard", f"{i}/2").code == 0
    outcome = dyntools(
        "merge", "small-run.part-1-of-2.h5", "small-run.part-2-of-2.h5", "-o", "m.h5"
    )
    assert outcome.code == 0, outcome.err
    assert hdf5.read(Path("m.h5"))["weight_norm"].steps.tolist() == [0, 10, 20, 40]


def test_a_metric_asked_for_by_name_that_has_no_number_says_why(
    dyntools: Command, tmp_path: Path
) -> None:
    """Training is fitted at step 300, and validation stays at chance."""
    rows = [{"step": s, "train/acc": min(1.0, s / 300), "val/acc": 0.1} for s in range(0, 901, 100)]
    run = tmp_path / "run"
    run.mkdir()
    (run / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    outcome = dyntools("analyze", run, "--metric", "grokking_delay", "-o", "r.h5")
    assert outcome.code == 0, outcome.err
    said = " ".join(outcome.out.split())
    assert "no number grokking_delay: validation accuracy has not reached 0.99" in said
    assert "more than 600 steps" in said
    assert "no number" not in dyntools("analyze", run, "-o", "all.h5").out  # nobody asked for it


def test_the_help_names_every_preset(dyntools: Command) -> None:
    said = " ".join(dyntools("analyze", "--help").out.replace("│", " ").split())
    named = said.partition("--preset")[2].partition("--initial")[0]
    for preset in PRESETS:
        assert preset in named, preset


def test_a_log_alone_is_analysed(dyntools: Command, small_run: Path) -> None:
    outcome = dyntools("analyze", small_run / "log.jsonl")
    assert outcome.code == 0, outcome.err
    assert "left out: " in outcome.err
    assert "layer_rotation" in outcome.err.partition("left out: ")[2]


@pytest.mark.parametrize(
    "run",
    [
        *sorted(p.name for p in (FIXTURES / "runs").iterdir() if p.name != "adafactor"),
        *("adafactor/torch", "adafactor/transformers"),
    ],
)
def test_every_layout_is_analysed_from_the_command_line(run: str, dyntools: Command) -> None:
    outcome = dyntools("analyze", FIXTURES / "runs" / run, "-o", "r.h5", "--preset", "quick")
    assert outcome.code == 0, outcome.err
    report = hdf5.read(Path("r.h5"))
    assert report["weight_norm"].ok.any()


@pytest.mark.parametrize(
    ("run", "bad"), [("plain", 7), ("safetensors", 9), ("sharded", 3), ("dcp", 4), ("deepspeed", 1)]
)
def test_damaged_checkpoints_are_rows_and_the_rest_is_analysed(
    run: str, bad: int, dyntools: Command
) -> None:
    outcome = dyntools("analyze", FIXTURES / "damaged" / run, "-o", "r.h5")
    assert outcome.code == 0, outcome.err
    report = hdf5.read(Path("r.h5"))
    assert report["weight_norm"].ok.any()
    damaged = [row for row in report.checkpoints if row.status == "damaged"]
    assert len(damaged) == bad
    assert all(row.reason for row in damaged)
    assert "damaged" in outcome.out


def test_interrupted_it_says_how_to_go_on(small_run: Path, tmp_path: Path) -> None:
    """A real Ctrl-C: exit 130, the journal stays, --resume finishes."""
    for step in range(41, 700):
        torch.save(
            {"model": {"0.weight": torch.randn(96, 96)}, "step": step},
            small_run / f"step-{step:05d}.pt",
        )
    for step in (0, 10, 20, 40):
        (small_run / f"step-{step:05d}.pt").unlink()
    command = [sys.executable, "-m", "dyntools", "analyze", str(small_run), "-o", "r.h5"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "r.h5.journal").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(2)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "--resume" in said
    assert "Traceback" not in said
    assert not (tmp_path / "r.h5").exists()
    resumed = subprocess.run(
        [*command, "--resume"], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    assert resumed.returncode == 0
    assert len(hdf5.read(tmp_path / "r.h5")["weight_norm"].steps) == 659


def test_what_is_seen_is_what_is_stored(dyntools: Command, small_run: Path) -> None:
    dyntools("analyze", small_run, "-o", "r.h5")
    shown = json.loads(dyntools("show", "r.h5", "--json").out)
    series = shown["series"]["layer_rotation"]
    stored = hdf5.read(Path("r.h5"))["layer_rotation"]
    assert series["coords"]["layer"] == ["0.weight", "2.weight"]
    assert series["steps"] == [0, 10, 20, 40]
    assert series["values"] == stored.values.tolist()


def test_a_full_disk_is_a_sentence_and_what_was_finished_is_kept(tmp_path: Path) -> None:
    """A limit on file size stands for the disk; the journal ends torn, and --resume goes on."""
    import resource

    command = [sys.executable, "-m", "dyntools", "analyze", str(MLP), "-o", "r.h5"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    full = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, preexec_fn=limit
    )
    assert full.returncode == 2
    assert "could not be written" in full.stderr
    assert "--resume" in full.stderr
    assert "mistake of its own" not in full.stderr
    again = [*command, "--resume"]
    resumed = subprocess.run(again, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert resumed.returncode == 0
    assert (hdf5.read(tmp_path / "r.h5")["weight_norm"].ok).all()
