"""From a run to a sealed report: resumed, sharded or undisturbed, it is the same report."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dyntools import analyze, hdf5, make_plan, measure, open_run, provenance, snapshots
from dyntools.analysis import journal_path, log_points
from dyntools.assembly import merge
from dyntools.checkpoint import Checkpoint
from dyntools.errors import CheckpointError, ReportError
from dyntools.measurement import Status
from dyntools.problem.loading import load_problem
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
            row = series.values[series.index(snapshot.step)]
            for dim in found.dims[:1]:
                row = row[[series.coords[dim].index(x) for x in found.coords[dim]]]
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


def test_eigenvalues_of_a_resumed_or_sharded_analysis_agree_within_their_errors(
    tmp_path: Path,
) -> None:
    """They start from the step before, where the step before was measured by the same process."""
    run = open_run(RUN)
    problem = load_problem(str(RUN / "problem.py"), run.checkpoints[-1])
    plan = make_plan(run, ["hessian_top:k=2"], problem=problem)
    steps = [800, 1400, 2200, 3000]
    whole = analyze(run, plan, tmp_path / "whole.h5", steps=steps, device=CPU)
    kept = tmp_path / "cut.h5"
    killed = _Killed(after=2)
    with pytest.raises(KeyboardInterrupt):
        analyze(run, plan, kept, steps=steps, device=CPU, progress=killed)
    resumed = analyze(run, plan, kept, steps=steps, device=CPU, resume=True)
    parts = [
        analyze(run, plan, tmp_path / f"{i}.h5", steps=steps, device=CPU, shard=(i, 2))
        for i in range(2)
    ]
    first = whole["hessian_top"]
    for other in (resumed["hessian_top"], merge(parts)["hessian_top"]):
        assert other.ok.all()
        assert (np.abs(other.values - first.values) <= other.error + first.error).all()
        assert not np.array_equal(other.values, first.values)  # or nothing was tested


class _Killed:
    """Ctrl-C at the beginning of a step, when some are done."""

    def __init__(self, after: int) -> None:
        self.after = after

    def __call__(self, what: str, done: float, total: int) -> None:
        if done >= self.after:
            raise KeyboardInterrupt


def test_progress_tells_products_and_learns_how_many_there_are(tmp_path: Path) -> None:
    run = open_run(RUN)
    problem = load_problem(str(RUN / "problem.py"), run.checkpoints[-1])
    plan = make_plan(run, ["hessian_top:k=1", "weight_norm"], problem=problem)
    heard: list[tuple[str, float, int]] = []
    report = analyze(
        run,
        plan,
        tmp_path / "r.h5",
        steps=[2200, 3000],
        device=CPU,
        progress=lambda *told: heard.append(told),
    )
    spent = report["hessian_top"].matvecs.tolist()
    for step, count in zip((2200, 3000), spent, strict=True):
        told = [what for what, _, _ in heard if what.startswith(f"step {step} hessian_top: ")]
        assert len(told) >= count  # a product each, and those of the guards on no account
        assert " products of " in told[-1]
    assert all(total == 4 for _, _, total in heard)
    done = [done for _, done, _ in heard]
    assert done == sorted(done)
    assert done[-1] == pytest.approx(4)
    within = [d for what, d, _ in heard if what.startswith("step 3000 hessian_top")]
    assert len(set(within)) > 3  # the bar moves while products are counted


def test_a_changed_problem_is_another_analysis(tmp_path: Path) -> None:
    path = tmp_path / "problem.py"
    text = (RUN / "problem.py").read_text()
    text = text.replace("Path(__file__).parent", f"Path({str(RUN)!r})")
    run = open_run(RUN)
    identities = []
    for loss in ("cross_entropy", "multi_margin_loss"):
        path.write_text(text.replace("cross_entropy(", f"{loss}("))
        plan = make_plan(run, ["hessian_top:k=1"], problem=load_problem(str(path)))
        identities.append(provenance.identity(run, plan, CPU, [3000]))
    assert identities[0] != identities[1]


def against_the_end(output: Path, **options: object) -> Report:
    run = open_run(RUN)
    problem = load_problem(str(RUN / "problem.py"))
    plan = make_plan(run, ["cka_to_final", "output_drift"], problem=problem)
    steps = options.pop("steps", [10, 20, 100])
    return analyze(run, plan, output, steps=steps, device=CPU, **options)


def test_what_other_checkpoints_have_to_say_is_the_same_from_shards_and_after_an_interruption(
    tmp_path: Path,
) -> None:
    whole = against_the_end(tmp_path / "whole.h5")
    assert whole["cka_to_final"].method == ("with step 3000",) * 3
    assert whole["cka_to_final"].values[:, -1].max() < 0.9  # the end is not among the steps
    assert [m.rpartition(" ")[2] for m in whole["output_drift"].method] == ["0", "10", "50"]
    parts = [against_the_end(tmp_path / f"{i}.h5", shard=(i, 2)) for i in range(2)]
    assert_same(merge(parts), whole, but=TIMES)
    done = iter(range(3))

    def interrupt(*told: object) -> None:
        if next(done, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        against_the_end(tmp_path / "r.h5", progress=interrupt)
    assert_same(against_the_end(tmp_path / "r.h5", resume=True), whole, but=TIMES)


def test_another_end_is_another_analysis_for_what_is_compared_with_it() -> None:
    """`--resume` and `merge` must not put likenesses to two ends into one series."""
    run = open_run(RUN)
    cut = replace(run, checkpoints=run.checkpoints[:-1])
    problem = load_problem(str(RUN / "problem.py"))
    same = {}
    for name in ("cka_to_final", "output_drift"):
        plan = make_plan(run, [name], problem=problem)
        same[name] = len({provenance.identity(one, plan, CPU, [10]) for one in (run, cut)}) == 1
    assert same == {"cka_to_final": False, "output_drift": True}
