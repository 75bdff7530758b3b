"""From a run to a sealed report: resumed, sharded or undisturbed, it is the same report."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from dyntools import analyze, hdf5, make_plan, measure, open_run, snapshots
from dyntools.analysis import journal_path, log_points
from dyntools.assembly import merge
from dyntools.checkpoint import Checkpoint
from dyntools.errors import CheckpointError, ReportError
from dyntools.measurement import Status
from dyntools.report import Report
from tests.processes import FIXTURES, ROOT
from tests.reports import assert_same

RUN = FIXTURES / "runs/digits-mlp"
TIMES = ("started", "finished", "command", "seconds", "shard", "device", "threads")
CPU = torch.device("cpu")


def analyzed(path: Path, output: Path, **options: object) -> Report:
    run = open_run(path)
    return analyze(run, make_plan(run), output, device=CPU, **options)


def test_the_report_holds_what_measure_says(small_run: Path, tmp_path: Path) -> None:
    report = analyzed(small_run, tmp_path / "r.h5")
    run = open_run(small_run)
    for snapshot in snapshots(run):
        for task in make_plan(run).of_weights:
            found = measure(snapshot, task.metric)
            series = report[task.name]
            labels = [series.coords["layer"].index(x) for x in found.coords["layer"]]
            row = series.values[series.index(snapshot.step)][labels]
            assert row.tobytes() == found.values.tobytes(), task.name
    assert not journal_path(tmp_path / "r.h5").exists()


def test_log_metrics_are_measured_at_the_validations_and_at_the_end(
    small_run: Path, tmp_path: Path
) -> None:
    series = analyzed(small_run, tmp_path / "r.h5")["generalization_gap"]
    assert series.steps.tolist() == list(range(0, 41, 4))
    assert series.step_unit == "step"


def test_at_most_as_many_log_points_as_a_plot_is_wide() -> None:
    from dyntools.log import Curve, Log, Role

    curve = Curve("val", np.arange(5000), np.zeros(5000), "step", None, "")
    log = Log((), (), {"val": curve}, {Role.validation_loss: "val"}, ())
    points = log_points(log)
    assert len(points) == 200
    assert points[0] == 0
    assert points[-1] == 4999


def test_shards_merge_into_the_undisturbed_report(tmp_path: Path) -> None:
    whole = analyzed(RUN, tmp_path / "whole.h5")
    parts = [analyzed(RUN, tmp_path / f"{i}.h5", shard=(i, 3)) for i in range(3)]
    assert_same(merge(parts), whole, but=TIMES)


def test_steps_selected_give_the_numbers_of_the_whole(tmp_path: Path) -> None:
    whole = analyzed(RUN, tmp_path / "whole.h5")
    steps = whole["layer_rotation"].steps.tolist()[2::3]
    some = analyzed(RUN, tmp_path / "some.h5", steps=steps)
    for name in ("layer_rotation", "relative_update", "effective_rank"):
        rows = [whole[name].index(step) for step in steps]
        assert some[name].values.tobytes() == whole[name].values[rows].tobytes()


def test_an_interrupted_analysis_is_continued_and_gives_the_same_report(
    small_run: Path, tmp_path: Path
) -> None:
    whole = analyzed(small_run, tmp_path / "whole.h5")
    output = tmp_path / "r.h5"
    for stop_after in range(1, 30, 4):
        calls = 0

        def interrupt(what: str, done: int, total: int, after: int = stop_after) -> None:
            nonlocal calls
            calls += 1
            if calls > after:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            analyzed(small_run, output, progress=interrupt)
        assert not output.exists()
        with pytest.raises(ReportError, match="unfinished analysis"):
            analyzed(small_run, output)
        assert_same(analyzed(small_run, output, resume=True), whole, but=TIMES)
        assert_same(analyzed(small_run, output, resume=True), whole, but=TIMES)  # all done already
        output.unlink()


def test_nothing_is_overwritten_without_force(small_run: Path, tmp_path: Path) -> None:
    output = tmp_path / "r.h5"
    analyzed(small_run, output)
    before = output.read_bytes()
    with pytest.raises(ReportError, match="report here already"):
        analyzed(small_run, output)
    assert output.read_bytes() == before
    analyzed(small_run, output, force=True)


def test_another_analysis_is_not_continued(small_run: Path, tmp_path: Path) -> None:
    output = tmp_path / "r.h5"

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        analyzed(small_run, output, progress=interrupt)
    weights = torch.load(small_run / "step-00040.pt", weights_only=True)
    weights["model"]["0.weight"] += 1
    torch.save(weights, small_run / "step-00040.pt")
    with pytest.raises(ReportError, match="another one"):
        analyzed(small_run, output, resume=True)
    analyzed(small_run, output, force=True)


def test_a_tensor_that_cannot_be_read_is_a_reason_and_the_rest_is_measured(
    small_run: Path, tmp_path: Path
) -> None:
    run = open_run(small_run)

    def torn() -> torch.Tensor:
        raise CheckpointError("the file ended early")

    broken: Checkpoint = run.checkpoints[2]
    tensors = dict(broken.tensors)
    object.__setattr__(tensors["0.weight"], "read", torn)
    report = analyze(run, make_plan(run), tmp_path / "r.h5", device=CPU)
    series = report["weight_norm"]
    row = series.index(broken.step)
    column = series.coords["layer"].index("0.weight")
    assert series.status[row, column] == Status.failed
    assert (np.delete(series.status[row], column) == Status.ok).all()
    assert any("the file ended early" in o.reason for o in series.omissions)
    assert any("0.weight at step 20 cannot be read" in note for note in report.notes)


@pytest.mark.slow
def test_killed_at_random_moments_it_resumes_to_the_same_report(tmp_path: Path) -> None:
    """kill -9, twenty times; then once to the end."""
    whole = analyzed(RUN, tmp_path / "whole.h5")
    output = tmp_path / "r.h5"
    command = [sys.executable, "-m", "dyntools", "analyze", str(RUN), "-o", str(output)]
    command += ["--device", "cpu", "--resume"]
    chance = random.Random(0)
    killed_while_writing = 0
    for _ in range(20):
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _wait_for_journal(process, output)
        time.sleep(chance.uniform(0, 0.25))
        killed_while_writing += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        if output.exists():
            assert_same(hdf5.read(output), whole, but=(*TIMES, "path"))
            output.unlink()
    assert killed_while_writing >= 10
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert_same(hdf5.read(output), whole, but=(*TIMES, "path"))


def _wait_for_journal(process: subprocess.Popen[bytes], output: Path) -> None:
    """Until this process has begun to write; the interpreter's start is not worth killing."""
    path = journal_path(output)
    before = path.stat().st_size if path.exists() else 0
    while process.poll() is None:
        if path.exists() and path.stat().st_size != before:
            return
        time.sleep(0.005)


def test_a_changed_log_or_start_is_another_analysis(small_run: Path, tmp_path: Path) -> None:
    """Same names and lengths, other values: a stale report must not be handed out."""
    initial, output = tmp_path / "init.pt", tmp_path / "r.h5"
    (small_run / "step-00000.pt").rename(initial)

    def again() -> Report:
        run = open_run(small_run, initial=initial)
        return analyze(run, make_plan(run), output, device=CPU, resume=True)

    again()
    again()
    log = small_run / "log.jsonl"
    text = log.read_text()
    log.write_text(text.replace("1.0", "1.5"))
    with pytest.raises(ReportError, match="report here already"):
        again()
    log.write_text(text)
    weights = torch.load(initial, weights_only=True)
    weights["model"]["0.weight"] *= 2
    torch.save(weights, initial)
    with pytest.raises(ReportError, match="report here already"):
        again()


def test_a_journal_cut_after_any_line_resumes_to_the_same_report(
    small_run: Path, tmp_path: Path
) -> None:
    """Also within its first lines, where only some of the run has been described."""
    output = tmp_path / "r.h5"
    whole = analyzed(small_run, tmp_path / "whole.h5")

    def interrupt(what: str, done: float, total: int) -> None:
        if done > total - 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        analyzed(small_run, output, progress=interrupt)
    lines = journal_path(output).read_bytes().splitlines(keepends=True)
    for count in (*range(9), len(lines) // 2, len(lines)):
        journal_path(output).write_bytes(b"".join(lines[:count]))
        assert_same(analyzed(small_run, output, resume=True), whole, but=TIMES)
        output.unlink()
    damaged = [*lines[:12], b'{"kind": "measurement", "metric": 3}\n', b"\0\n", *lines[14:]]
    journal_path(output).write_bytes(b"".join(damaged))
    resumed = analyzed(small_run, output, resume=True)
    assert any("2" in note and "damaged" in note for note in resumed.notes)
    assert resumed["weight_norm"].values.tobytes() == whole["weight_norm"].values.tobytes()


@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_report_is_never_overwritten(
    force: bool, small_run: Path, tmp_path: Path
) -> None:
    for path in (small_run / "step-00000.pt", small_run / "log.jsonl"):
        before = path.read_bytes()
        with pytest.raises(ReportError, match="no report"):
            analyzed(small_run, path, force=force)
        assert path.read_bytes() == before
    with pytest.raises(ReportError, match="folder"):
        analyzed(small_run, tmp_path, force=force)
