"""Several processes: the same numbers however the examples are spread, one writer, one voice."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dyntools import Engine, analyze, cli, hdf5, make_plan, measure, open_run
from dyntools.analysis import journal_path
from dyntools.measurement import Status
from dyntools.problem.loading import load_problem
from dyntools.ranks import ALONE, RankError, Ranks, own, speaks
from dyntools.report import Report
from tests.problems import classifier, snapshot_of
from tests.processes import FIXTURES, ROOT, python, torchrun
from tests.workers import analyses

WORKERS = ROOT / "tests" / "workers"
RUN = FIXTURES / "runs" / "digits-mlp"
LOSS = str(RUN / "problem.py")
METRICS = (
    *("hessian_top:k=2,rtol=1e-7", "sam_sharpness", "validation_gap"),
    *("weight_norm", "generalization_gap"),
)
COMMAND = ("analyze", str(RUN), "--problem", LOSS, "--steps", "0,100")
TOLD = [part for metric in METRICS for part in ("--metric", metric)]


def found(count: int) -> dict[str, object]:
    worker = WORKERS / "eigenvalues.py"
    result = torchrun(count, str(worker)) if count > 1 else python(worker.read_text())
    assert result.returncode == 0, result.stderr[-3000:]
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("{")]
    return json.loads(line)


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing_but_rounding() -> None:
    alone, together = found(1), found(3)
    for key, value in alone.items():
        # Sharded, the iterations start elsewhere: each tensor is drawn by itself.
        rtol = 1e-9 if key.startswith("sharded") else 1e-10
        np.testing.assert_allclose(together[key], value, rtol=rtol, err_msg=key)


def assert_same_numbers(one: Report, other: Report, rtol: float, atol: float = 0.0) -> None:
    assert list(one.series) == list(other.series)
    for name, series in one.series.items():
        steps = other[name]
        assert series.steps.tolist() == steps.steps.tolist(), name
        assert (series.status == Status.ok).any(), name
        np.testing.assert_array_equal(series.status, steps.status, err_msg=name)
        np.testing.assert_allclose(steps.values, series.values, rtol, atol, err_msg=name)


@pytest.mark.slow
def test_a_command_under_torchrun_writes_the_report_of_one_process(tmp_path: Path) -> None:
    """Weights and log are measured by the first process alone, and it alone prints."""
    command = (*COMMAND, *TOLD, "--dtype", "float64", "-o")
    assert cli.run([*command, str(tmp_path / "one.h5")]) == 0
    result = torchrun(2, "-m", "dyntools", *command, str(tmp_path / "two.h5"), cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-3000:]
    one, two = (hdf5.read(tmp_path / f"{name}.h5") for name in ("one", "two"))
    assert_same_numbers(one, two, 1e-10)
    assert one.attributes["identity"] == two.attributes["identity"]
    assert two.attributes["processes"] == 2
    assert result.stdout.count("report: ") == 1
    assert result.stderr.count("running the code of") == 1
    assert "2 × cpu" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.h5", "two.h5"]


def interrupted(output: Path) -> None:
    """Leave a journal that lacks some metrics of the last step."""

    def stop(what: str, done: float, total: int) -> None:
        if what.startswith("step 100") and done > total - 2:
            raise KeyboardInterrupt

    run = open_run(RUN)
    plan = make_plan(run, METRICS, problem=load_problem(LOSS))
    with pytest.raises(KeyboardInterrupt):
        analyze(run, plan, output, steps=(0, 100), device=torch.device("cpu"), progress=stop)


@pytest.mark.slow
def test_what_one_process_began_several_resume(tmp_path: Path) -> None:
    """The first process knows what is left, and the others hear it from there."""
    one, two = tmp_path / "one.h5", tmp_path / "two.h5"
    interrupted(one)
    shutil.copy(journal_path(one), journal_path(two))
    assert 'metric":"hessian_top"' in journal_path(two).read_text().replace(" ", "")
    assert cli.run([*COMMAND, *TOLD, "--resume", "-o", str(one)]) == 0
    result = torchrun(2, "-m", "dyntools", *COMMAND, *TOLD, "--resume", "-o", str(two))
    assert result.returncode == 0, result.stderr[-3000:]
    # A rise of the loss is the difference of two numbers of order one.
    assert_same_numbers(hdf5.read(one), hdf5.read(two), 1e-6, atol=2e-7)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raises", "Process 1 of 2 failed: The code of the problem raised an error."),
        ("killed", "Another of the processes has ended, or cannot be reached."),
    ],
)
def test_a_process_that_fails_ends_all_with_one_message(
    how: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILS", how)
    started = time.monotonic()
    problem = str(WORKERS / "one_rank_fails.py")
    command = ("analyze", str(RUN), "--problem", problem, "--metric", "hessian_top:k=8")
    result = torchrun(2, "-m", "dyntools", *command, "-o", str(tmp_path / "r.h5"))
    assert result.returncode != 0
    told = [line for line in result.stderr.splitlines() if line.startswith("dyntools: ")]
    assert told == [f"dyntools: {message}"]
    assert "exitcode  : 2" in result.stderr
    assert result.stderr.count("Traceback (most recent call last)") == 1  # that of torchrun
    assert (how == "raises") == ("ValueError: this batch is too much" in result.stderr)
    assert time.monotonic() - started < 60
    assert not (tmp_path / "r.h5").exists()
    assert journal_path(tmp_path / "r.h5").exists()


# What the processes beside the first do follows from the metrics asked for: the gradient alone for
# tensors one by one, the same for all at once, gradients of examples, one pass of each process.
GRADIENTS = [
    *("rms_spike", "weight_norm,rms_spike", "gradient_norm,gradient_rank"),
    "noise_scale,gradient_snr,norm_test,gap_growth,gradient_conflict",
    "rms_spike,gradient_norm,noise_scale,gradient_conflict:by=class,oui,output_logits,sam_sharpness",
]


def trained_run(folder: Path) -> Path:
    """Three checkpoints, of which the first holds no state of the optimizer."""
    given, steps = analyses.learnable(ALONE), range(7)
    optimizer = torch.optim.AdamW(given.model.parameters(), lr=1e-2)
    folder.mkdir()
    for step in steps:
        content = {"model": given.model.state_dict(), "step": step}
        if step:
            content["optimizer"] = optimizer.state_dict()
        if step % 3 == 0:
            torch.save(content, folder / f"step_{step}.pt")
        x, y = given.batches[step % 2]
        optimizer.zero_grad()
        given.loss(given.model(x.double()), (x, y)).backward()
        optimizer.step()
    return folder


@pytest.mark.slow
def test_gradients_and_activations_are_those_of_one_process(tmp_path: Path) -> None:
    """Also where only some metrics need the others, and at a step that lacks the second moments."""
    run = trained_run(tmp_path / "run")
    one, two = tmp_path / "one", tmp_path / "two"
    analyses.main(run, one, GRADIENTS)
    result = torchrun(2, str(WORKERS / "analyses.py"), str(run), str(two), *GRADIENTS)
    assert result.returncode == 0, result.stderr[-3000:]
    for number, metrics in enumerate(GRADIENTS):
        alone, together = (hdf5.read(folder / f"{number}.h5") for folder in (one, two))
        assert len(alone.series) == metrics.count(",") + 1
        # Sums over examples are added in another order.
        assert_same_numbers(alone, together, 1e-9, atol=1e-12)
        if "rms_spike" in alone.series:
            assert alone["rms_spike"].ok.any(axis=1).tolist() == [False, True, True]


class Together(Ranks):
    """Two processes of which the other one is played: what it adds and what it gathers."""

    def __init__(self, failed: int = 0, place: str | None = None) -> None:
        super().__init__(0, 2)
        object.__setattr__(self, "others", (failed, place))

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        failed, place = self.others
        if place is None:
            return tensor * 2 if failed == tensor[0] else tensor * 2 + torch.eye(3)[0] * failed
        return tensor + torch.tensor([failed, 1.0, 1.0])

    def gather(self, value: object) -> list[object]:
        failed, place = self.others
        told = ("broken there", None, None, None) if failed else None
        return [value, (place or value[0], told)]


@pytest.fixture
def _gloo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.distributed.get_backend", lambda: "gloo")


@pytest.mark.usefixtures("_gloo")
def test_an_error_that_all_meet_stays_what_it_is() -> None:
    with Together().agreeing("product"):
        pass
    with pytest.raises(KeyError, match="x"), Together(1).agreeing("product"):
        raise KeyError("x")


@pytest.mark.usefixtures("_gloo")
def test_an_error_of_one_ends_all_before_anything_is_added() -> None:
    there, here = "Process 1 of 2 failed: broken there", "Process 0 of 2 failed: ValueError: here"
    with pytest.raises(RankError, match=there), Together(1).agreeing("product"):
        pass
    with pytest.raises(RankError, match=here), Together(0, "gradient").agreeing("product"):
        raise ValueError("here")


@pytest.mark.usefixtures("_gloo")
def test_processes_at_different_places_do_not_add() -> None:
    told = pytest.raises(RankError, match="different decisions")
    with told, Together(0, "gradient").agreeing("product"):
        pass


def test_alone_nothing_is_asked_and_errors_pass() -> None:
    with pytest.raises(ValueError, match="mine"), ALONE.agreeing("product"):
        raise ValueError("mine")
    assert ALONE.gather(3) == [3]
    assert ALONE.writes
    assert speaks()
    assert own(torch.device("cuda", 1)) == torch.device("cuda", 1)


def test_with_sharded_parameters_only_what_needs_operators_is_measured() -> None:
    engine = Engine(dtype=torch.float64, sharded=True)
    problem = replace(classifier(engine=engine), ranks=Ranks(0, 2))
    found = measure(snapshot_of(problem), "sam_sharpness")
    assert "without --shard-parameters" in " ".join(found.skipped.values())


def test_one_process_has_nothing_to_shard(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*COMMAND, "--shard-parameters"]) == 2
    assert "torchrun --nproc-per-node N" in capsys.readouterr().err


def test_processes_beyond_the_gpus_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(cli.DyntoolsError, match="fewer GPUs than processes"):
        own(torch.device("cuda"))
    assert own(torch.device("cpu")) == torch.device("cpu")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert own(torch.device("cuda")) == torch.device("cuda", 1)
