"""`dyntools adam-memory`: from a report, a trace or a run to a decision, its exports, its trial."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dyntools import hdf5
from dyntools.adam_memory.exports import read_forms
from dyntools.forms import FULL, mean_over
from tests.adam_memory.hand_made import compression_series, report, snr_series
from tests.conftest import Outcome
from tests.processes import FIXTURES, python
from tests.reports import random_report

Command = Callable[..., Outcome]
TINY_GPT = FIXTURES / "runs/tiny-gpt"
SHAPES = {"h.0.mlp.c_fc.weight": (8, 32), "h.0.mlp.c_proj.weight": (32, 8), "h.0.ln_1.weight": (8,)}
SNR = {
    "h.0.mlp.c_fc.weight": {"0": [4.0, 2.0, 3.0], "1": [0.5] * 3, "0,1": [0.2] * 3},
    "h.0.mlp.c_proj.weight": {"0": [0.3] * 3, "1": [0.9, 0.9, 1.5], "0,1": [0.2] * 3},
    "h.0.ln_1.weight": {"0": [7.0] * 3},
}
ERRORS = {
    "h.0.mlp.c_fc.weight": {"axes 0": [0.1, 0.3, 0.2], "8-bit": [0.01] * 3},
    "h.0.mlp.c_proj.weight": {"axes 1": [0.6] * 3, "factored": [0.04] * 3},
}
STEPS = (10, 20, 30)
TRACE = """step,key,shape,compress_dims,snr,mean_sqr,var
1,h.0.mlp.c_fc.weight,"(32, 8)","(0,)",0.5,1,1
1,h.0.mlp.c_fc.weight,"(32, 8)","(1,)",3.5,1,1
1,h.0.mlp.c_fc.weight,"(32, 8)","(0, 1)",0.1,1,1
"""
PROBLEM = """import torch
from dyntools import Problem
def problem():
    layers = torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)
    x = torch.randn(64, 6, generator=torch.Generator().manual_seed(1))
    loss = lambda out, batch: torch.nn.functional.mse_loss(out, batch[1])
    return Problem(torch.nn.Sequential(*layers), [(x, x[:, :3])], loss)
"""


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    path = tmp_path / "r.h5"
    series = snr_series(SHAPES, SNR, steps=STEPS), compression_series(SHAPES, ERRORS, steps=STEPS)
    hdf5.write(report(*series), path)
    return path


def saved(run: Path, *, optimizer: bool) -> Path:
    """Three checkpoints of a small perceptron trained by Adam."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    run.mkdir()
    for step in range(1, 31):
        inputs = torch.randn(16, 6)
        loss = torch.nn.functional.mse_loss(model(inputs), inputs[:, :3])
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        adam.zero_grad()
        if step % 10 == 0:
            state = {"optimizer": adam.state_dict()} if optimizer else {}
            torch.save({"model": model.state_dict(), "step": step, **state}, run / f"{step}.pt")
    return run


def decision(outcome: Outcome) -> dict[str, object]:
    assert outcome.code == 0, outcome.err
    content = json.loads(outcome.out, parse_constant=lambda word: pytest.fail(word))
    assert isinstance(content, dict)
    return content


def forms(content: dict[str, object]) -> dict[str, str]:
    return {one["name"]: one["form"] for one in content["tensors"]}  # type: ignore[attr-defined]


def test_a_report_becomes_a_decision(measured: Path, dyntools: Command) -> None:
    outcome = dyntools("adam-memory", measured)
    assert outcome.code == 0
    # Of 256 + 256 + 8 entries 32 + 32 + 8 stay: SNR 3 over axis 0, and 1.1 over axis 1.
    assert "86.15 % of Adam's second moment can go, in 2 of 3 tensors" in outcome.out
    for title in ("With another cutoff", "Along training", "What limits trust", "Optimizers"):
        assert title in outcome.out


def test_json_is_the_whole_decision(measured: Path, dyntools: Command) -> None:
    content = decision(dyntools("adam-memory", measured, "--json"))
    assert content["rule"] == "slimadam"
    assert forms(content)["h.0.mlp.c_fc.weight"] == "axes 0"
    assert [one["cutoff"] for one in content["cutoffs"]] == [0.5, 1, 2, 5]  # type: ignore[attr-defined]
    assert content["verification"] is None
    assert content["optimizers"]
    assert content["limits"]
    assert content["along_training"]


@pytest.mark.parametrize(
    ("options", "rule", "first", "second"),
    [
        ([], "slimadam", "axes 0", "axes 1"),
        (["--cutoff", 2], "slimadam", "axes 0", "full"),
        (["--steps", "10,20"], "slimadam", "axes 0", "full"),
        (["--from-step", 30], "slimadam", "axes 0", "axes 1"),
        (["--max-update-error", 0.05], "update-error", "8-bit", "factored"),
        (["--rule", "slimadam", "--max-update-error", 0.5], "slimadam", "axes 0", "full"),
        (["--kind", "h.0.mlp.c_fc.weight=norm"], "slimadam", "full", "axes 1"),
    ],
)
def test_options_reach_the_decision(
    options: list[object],
    rule: str,
    first: str,
    second: str,
    measured: Path,
    dyntools: Command,
) -> None:
    content = decision(dyntools("adam-memory", measured, "--json", *options))
    found = forms(content)
    assert content["rule"] == rule
    assert (found["h.0.mlp.c_fc.weight"], found["h.0.mlp.c_proj.weight"]) == (first, second)


def test_exports_hold_the_plan(measured: Path, tmp_path: Path, dyntools: Command) -> None:
    outcome = dyntools("adam-memory", measured, "--export", "rules.json", "--export", "plan.toml")
    assert outcome.code == 0
    expected = {"h.0.mlp.c_fc.weight": mean_over(0), "h.0.mlp.c_proj.weight": mean_over(1)}
    expected["h.0.ln_1.weight"] = FULL
    for name in ("rules.json", "plan.toml"):
        assert read_forms(tmp_path / name) == expected
        assert f"wrote {name}" in outcome.err


def test_what_json_rules_cannot_say_is_told(measured: Path, dyntools: Command) -> None:
    outcome = dyntools(
        "adam-memory", measured, "--max-update-error", 0.05, "--export", "rules.json"
    )
    assert outcome.code == 0
    assert "'factored'" in outcome.err


def test_an_export_in_the_way_is_kept_without_force(
    measured: Path, tmp_path: Path, dyntools: Command
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text("mine")
    assert dyntools("adam-memory", measured, "--export", "plan.toml").code == 2
    assert plan.read_text() == "mine"
    assert dyntools("adam-memory", measured, "--export", "plan.toml", "--force").code == 0
    assert plan.read_text() != "mine"
    assert hdf5.read(measured).series


def test_the_trace_of_the_authors_is_read(tmp_path: Path, dyntools: Command) -> None:
    path = tmp_path / "snr.csv"
    path.write_text(TRACE)
    outcome = dyntools("adam-memory", path)
    assert outcome.code == 0
    assert "mean over axis 1 (fan-in)" in outcome.out
    assert "87.50 % of" in outcome.out  # 32 of 256 entries stay


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--rule", "slimadm"], "slimadam"),
        (["--cutoff", 0], "--cutoff takes a number above 0"),
        (["--cutoff", "nan"], "--cutoff takes a number above 0"),
        (["--max-update-error", "-1"], "above 0"),
        (["--rule", "update-error", "--cutoff", 2], "no cutoff"),
        (["--steps", "ten"], "whole numbers"),
        (["--steps", "11"], "10, 20, 30"),
        (["--from-step", 31], "10, 20, 30"),
        (["--kind", "nonsense"], "GLOB=KIND"),
        (["--export", "plan.yaml"], ".toml"),
        (["--export", "nowhere/plan.toml"], "no such folder"),
        (["--verify", 10], "--problem"),
        (["--verify", 10, "--problem", "p.py"], "this is a report"),
        (["--seeds", 4], "--verify"),
        (["--output", "x.h5"], "this is a report"),
    ],
)
def test_mistakes(options: list[object], sentence: str, measured: Path, dyntools: Command) -> None:
    outcome = dyntools("adam-memory", measured, *options)
    assert outcome.code == 2
    assert sentence in outcome.err
    assert "Traceback" not in outcome.err


def test_a_report_without_the_metrics_names_the_command(tmp_path: Path, dyntools: Command) -> None:
    path = tmp_path / "r.h5"
    hdf5.write(random_report(), path)
    outcome = dyntools("adam-memory", path)
    assert outcome.code == 2
    assert "dyntools analyze RUN" in outcome.err


def test_a_csv_that_is_no_trace_is_refused(tmp_path: Path, dyntools: Command) -> None:
    path = tmp_path / "loss.csv"
    path.write_text("step,loss\n1,2\n")
    outcome = dyntools("adam-memory", path)
    assert outcome.code == 2
    assert "no SNR trace" in outcome.err


@pytest.mark.parametrize("kind", ["report", "trace"])
def test_without_torch(kind: str, measured: Path, tmp_path: Path) -> None:
    path = measured
    if kind == "trace":
        path = tmp_path / "snr.csv"
        path.write_text(TRACE)
    code = (
        "import sys; from dyntools.cli import run; code = run(sys.argv[1:]);"
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    result = python(code, "adam-memory", str(path), "--export", "plan.toml", cwd=tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("options", [[], ["--all"], ["--max-update-error", "0.05"]])
def test_it_fits_the_terminal(
    width: int,
    options: list[str],
    measured: Path,
    dyntools: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    outcome = dyntools("adam-memory", measured.name, *options)
    assert outcome.code == 0
    assert max(map(len, outcome.out.splitlines())) <= width


def test_a_run_is_analysed_once(tmp_path: Path, dyntools: Command) -> None:
    run = saved(tmp_path / "perceptron", optimizer=True)
    first = dyntools("adam-memory", run)
    assert first.code == 0, first.err
    made = tmp_path / "perceptron-adam-memory.h5"
    assert set(hdf5.read(made).series) == {
        *("second_moment_snr", "second_moment_compression", "effective_lr")
    }
    before = made.read_bytes()
    again = dyntools("adam-memory", run)
    assert again.code == 0
    assert made.read_bytes() == before
    assert again.out == first.out
    assert dyntools("adam-memory", made).code == 0


def test_a_report_of_another_analysis_is_kept(tmp_path: Path, dyntools: Command) -> None:
    run = saved(tmp_path / "perceptron", optimizer=True)
    made = tmp_path / "perceptron-adam-memory.h5"
    hdf5.write(random_report(), made)
    outcome = dyntools("adam-memory", run)
    assert outcome.code == 2
    assert "--force" in outcome.err
    assert dyntools("adam-memory", run, "--force").code == 0
    assert "second_moment_snr" in hdf5.read(made).series


def test_a_run_without_state_is_told_what_to_do(tmp_path: Path, dyntools: Command) -> None:
    run = saved(tmp_path / "perceptron", optimizer=False)
    outcome = dyntools("adam-memory", run)
    assert outcome.code == 2
    assert "--estimate-second-moments" in outcome.err
    assert "--problem" in outcome.err
    assert not list(tmp_path.glob("*.h5*"))


def test_second_moments_are_estimated_where_none_were_saved(
    tmp_path: Path, dyntools: Command
) -> None:
    run = saved(tmp_path / "perceptron", optimizer=False)
    (tmp_path / "p.py").write_text(PROBLEM)
    options = ["--problem", "p.py", "--estimate-second-moments", "20:batch=8"]
    content = decision(dyntools("adam-memory", run, *options, "--json"))
    assert content["steps"] == [10, 20, 30]
    assert any("were estimated" in sentence for sentence in content["limits"])  # type: ignore[attr-defined]


def test_a_plan_is_verified_and_the_report_stays(tmp_path: Path, dyntools: Command) -> None:
    run = saved(tmp_path / "perceptron", optimizer=True)
    (tmp_path / "p.py").write_text(PROBLEM)
    options = ["--problem", "p.py", "--verify", 3, "--batch-size", 8]
    content = decision(dyntools("adam-memory", run, *options, "--json"))
    verification = content["verification"]
    assert isinstance(verification, dict)
    assert len(verification["differences"]) == 3
    assert verification["adamw"]["state_bytes"] - verification["plan"]["state_bytes"] == (
        content["totals"]["second_moment"]["before"] - content["totals"]["second_moment"]["after"]  # type: ignore[index]
    )
    printed = dyntools("adam-memory", run, *options)
    assert "Verified: 3 steps on from step 30, in 3 orders" in printed.out
    assert "time of a step" in printed.out
    assert (tmp_path / "perceptron-adam-memory.h5").is_file()


def test_a_run_of_hugging_face_tells_its_layout(dyntools: Command) -> None:
    outcome = dyntools("adam-memory", TINY_GPT)
    assert outcome.code == 0, outcome.err
    assert "mean over axis 0 (fan-in)" in outcome.out  # Conv1D stores (in, out)
