"""The loss of a run from the command line: given, refused, left out, and asked more of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dyntools import hdf5
from dyntools.cli.options import size_of
from dyntools.errors import UsageError
from tests.conftest import Outcome
from tests.processes import FIXTURES

Command = Callable[..., Outcome]
MLP = FIXTURES / "runs/digits-mlp"
LOSS = ("--problem", MLP / "problem.py")
ONE = ("--metric", "hessian_top:k=1", "-o", "r.h5")

PROBLEM = """
import torch
from dyntools import Problem

def problem():
    network = torch.nn.Sequential(
        torch.nn.Linear(8, 12), torch.nn.ReLU(), torch.nn.Linear(12, {outputs})
    )
    x = torch.linspace(-1, 1, 24 * 8).view(24, 8).sin()
    return Problem(network, [x], lambda out, batch: {loss})
"""


def problem_file(folder: Path, outputs: int = 4, loss: str = "(out**2).mean()") -> Path:
    path = folder / "problem.py"
    path.write_text(PROBLEM.format(outputs=outputs, loss=loss))
    return path


def test_eigenvalues_of_the_shipped_run_are_those_of_a_dense_hessian(dyntools: Command) -> None:
    outcome = dyntools("analyze", MLP, *LOSS, *ONE, "--steps", "0,3000")
    assert outcome.code == 0, outcome.err
    assert f"running the code of {MLP / 'problem.py'}" in outcome.err
    report = hdf5.read(Path("r.h5"))
    series = report["hessian_top"]
    assert "300 examples, eval, float32" in series.settings["probe"]
    assert report.attributes["problem"]["source"] == str(MLP / "problem.py")
    stored = np.load(MLP / "data.npz")
    x = torch.tensor(stored["training_images"] / 16, dtype=torch.float64)
    y = torch.tensor(stored["training_labels"].astype(np.int64))
    weights = torch.load(MLP / "step-03000.pt")["model"]
    flat = torch.cat([w.double().flatten() for w in weights.values()]).requires_grad_()
    sizes = [w.numel() for w in weights.values()]
    w1, b1, w2, b2, w3, b3 = (
        part.view(w.shape) for part, w in zip(flat.split(sizes), weights.values(), strict=True)
    )
    hidden = ((x @ w1.T + b1).relu() @ w2.T + b2).relu()
    loss = torch.nn.functional.cross_entropy(hidden @ w3.T + b3, y)
    (gradient,) = torch.autograd.grad(loss, flat, create_graph=True)
    vector = torch.randn(len(flat), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for _ in range(300):  # power iteration, as plain as can be
        (product,) = torch.autograd.grad(gradient, flat, vector, retain_graph=True)
        vector = product / product.norm()
    (product,) = torch.autograd.grad(gradient, flat, vector)
    assert series.values[-1].item() == pytest.approx(float(vector @ product), rel=2e-3)


def test_without_a_loss_curvature_is_left_out_in_one_line_and_nothing_is_run(
    dyntools: Command, small_run: Path
) -> None:
    (small_run / "problem.py").write_text("raise SystemExit('was run')")
    outcome = dyntools("analyze", small_run, "-o", "r.h5")
    assert outcome.code == 0, outcome.err
    lines = outcome.err.splitlines()
    (of_loss,) = (i for i, line in enumerate(lines) if line.startswith("left out: noise_scale, "))
    assert any("hessian_top" in line for line in lines[of_loss:])
    # Of the optimizer, of the gradients of training, and of the loss.
    assert sum(line.startswith("left out: ") for line in lines) == 3
    told = " ".join(" ".join(lines).split())
    assert f"the loss of the run is not known: give it with --problem {small_run}" in told
    assert all(len(line) <= 80 or str(small_run) in line for line in lines)
    assert "hessian_top" in hdf5.read(Path("r.h5")).attributes["left_out_metrics"]
    shown = dyntools("inspect", small_run, "--json")
    assert "--problem" in json.loads(shown.out)["missing"]["hessian_top"]
    assert dyntools("inspect", small_run).out.count("the loss of the run") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--problem", "missing.py"], "no file with the problem"),
        (["--problem", "problem"], "neither as a file nor as a module"),
        (["--text", "a.txt", "--tokens", "b.npy"], "exclude one another"),
        (["--problem", "a.py", "--text", "b.txt"], "exclude one another"),
        (["--memory", "4GiB"], "goes with a loss"),
        (["--probe-error"], "goes with a loss"),
        (["--problem", "a.py", "--block", "8"], "--text FILE"),
        (["--problem", "a.py", "--memory", "lots"], "4GiB"),
        (["--problem", "a.py", "--dtype", "float16"], "float32 or float64 or bfloat16"),
        (["--problem", "a.py", "--hvp", "forward"], "autograd or differences"),
        (["--problem", "a.py", "--mode", "test"], "eval or train"),
        (["--text", "a.txt"], "config.json"),
        (["--metric", "hessian_top"], "--problem FILE.py:NAME"),
        (["--metric", "nonsense", "--problem", "missing.py"], "no metric"),
    ],
)
def test_each_mistake_is_a_sentence_and_nothing_is_left_behind(
    arguments: list[str], sentence: str, dyntools: Command, small_run: Path, tmp_path: Path
) -> None:
    outcome = dyntools("analyze", small_run, *arguments)
    assert outcome.code == 2
    assert sentence in outcome.err
    assert "mistake of its own" not in outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small-run"]


@pytest.mark.parametrize(
    ("outputs", "loss", "sentence"),
    [
        (5, "(out**2).mean()", "not the model of the checkpoint"),
        (4, "(out**2).sum()", "not a mean"),
        (4, "(out * torch.randn(())).mean()", "differ"),
        (4, "(out * float('nan')).mean()", "not finite"),
        (4, "out.sqare().mean()", "problem.py:10"),
        (4, "(out @ torch.ones(5, 5)).mean()", "problem.py:10"),
        (4, "out.detach().mean()", "does not depend on any parameter"),
    ],
)
def test_a_problem_that_does_not_hold_ends_before_anything_is_written(
    outputs: int, loss: str, sentence: str, dyntools: Command, small_run: Path, tmp_path: Path
) -> None:
    path = problem_file(tmp_path, outputs, loss)
    outcome = dyntools("analyze", small_run, "--problem", path)
    assert outcome.code == 2
    assert sentence in outcome.err, outcome.err
    assert "Traceback" not in outcome.err
    assert "mistake of its own" not in outcome.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["problem.py", "small-run"]


def test_a_model_that_does_not_take_its_batches(
    dyntools: Command, small_run: Path, tmp_path: Path
) -> None:
    path = problem_file(tmp_path)
    path.write_text(path.read_text().replace(".view(24, 8)", ".view(32, 6)"))
    outcome = dyntools("analyze", small_run, "--problem", path)
    assert outcome.code == 2
    assert "does not take its batches" in outcome.err
    assert "shapes cannot be multiplied" in outcome.err


def test_batches_that_raise_an_error(dyntools: Command, small_run: Path, tmp_path: Path) -> None:
    path = problem_file(tmp_path)
    path.write_text(path.read_text().replace("[x]", "map(lambda i: x[i / 0], range(2))"))
    outcome = dyntools("analyze", small_run, "--problem", path)
    assert outcome.code == 2
    assert "problem.py:10" in outcome.err
    assert "ZeroDivisionError" in outcome.err


def test_a_later_checkpoint_that_does_not_fit_is_a_row_with_its_reason(
    dyntools: Command, small_run: Path, tmp_path: Path
) -> None:
    last = torch.load(small_run / "step-00040.pt")
    last["model"]["2.weight"], last["model"]["2.bias"] = torch.ones(5, 12), torch.ones(5)
    torch.save(last, small_run / "step-00040.pt")
    outcome = dyntools("analyze", small_run, "--problem", problem_file(tmp_path), *ONE)
    assert outcome.code == 0, outcome.err
    series = hdf5.read(Path("r.h5"))["hessian_top"]
    assert np.isfinite(series.values[:-1]).all()
    assert np.isnan(series.values[-1]).all()
    assert any("(5, 12)" in o.reason and 40 in o.steps for o in series.omissions)


def test_a_first_checkpoint_of_nan_does_not_cost_the_others(
    dyntools: Command, small_run: Path, tmp_path: Path
) -> None:
    first = torch.load(small_run / "step-00000.pt")
    first["model"]["2.bias"].fill_(float("nan"))
    torch.save(first, small_run / "step-00000.pt")
    outcome = dyntools("analyze", small_run, "--problem", problem_file(tmp_path), *ONE)
    assert outcome.code == 0, outcome.err
    series = hdf5.read(Path("r.h5"))["hessian_top"]
    assert np.isnan(series.values[0]).all()
    assert np.isfinite(series.values[1:]).all()
    assert any("not finite" in o.reason and o.steps == (0,) for o in series.omissions)


def test_settings_of_the_command_line_are_laid_over_those_of_the_problem(
    dyntools: Command, small_run: Path, tmp_path: Path
) -> None:
    path = problem_file(tmp_path)
    options = ("--dtype", "float64", "--mode", "train", "--memory", "1GiB")
    outcome = dyntools("analyze", small_run, "--problem", path, *options, "--last", *ONE)
    assert outcome.code == 0, outcome.err
    recorded = hdf5.read(Path("r.h5")).attributes["problem"]
    assert (recorded["dtype"], recorded["mode"]) == ("float64", "train")


def test_bfloat16_is_measured_with_a_warning_in_words(
    dyntools: Command, small_run: Path, tmp_path: Path
) -> None:
    path = problem_file(tmp_path)
    outcome = dyntools(
        "analyze", small_run, "--problem", path, "--dtype", "bfloat16", "--last", *ONE
    )
    assert outcome.code == 0, outcome.err
    assert "off by about 1e-2" in outcome.err


def test_the_sampling_error_is_asked_for_by_one_word(
    dyntools: Command, small_run: Path, tmp_path: Path
) -> None:
    command = ("analyze", small_run, "--problem", problem_file(tmp_path), "--last", "--probe-error")
    assert dyntools(*command, *ONE).code == 0
    series = hdf5.read(Path("r.h5"))["hessian_top"]
    assert series.settings["groups"] == 4
    assert np.isfinite(series.beside["sampling_error"]).all()
    outcome = dyntools(*command, "--metric", "weight_norm", "-o", "s.h5")
    assert outcome.code == 2
    assert "--metric hessian_top" in outcome.err


def test_a_loss_that_nothing_needs_is_told(
    dyntools: Command, small_run: Path, tmp_path: Path
) -> None:
    path = problem_file(tmp_path)
    outcome = dyntools("analyze", small_run, "--problem", path, "--preset", "quick", "-o", "r.h5")
    assert outcome.code == 0
    assert "not used" in outcome.err


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4GiB", 4 * 2**30),
        ("4gib", 4 * 2**30),
        ("4G", 4 * 2**30),
        ("4GB", 4 * 10**9),
        ("1.5 MiB", 3 * 2**19),
        ("512", 512),
        ("512B", 512),
        ("2T", 2**41),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert size_of(text, "--memory") == size


@pytest.mark.parametrize("text", ["", "0", "-4GiB", "GiB", "4XB", "4 GiB of it", "nan"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="amount of memory"):
        size_of(text, "--memory")


@pytest.mark.parametrize("run", ["digits-cnn", "tiny-gpt"])
def test_every_shipped_problem_runs(run: str, dyntools: Command) -> None:
    folder = FIXTURES / "runs" / run
    outcome = dyntools("analyze", folder, "--problem", folder / "problem.py", "--last", *ONE)
    assert outcome.code == 0, outcome.err
    assert hdf5.read(Path("r.h5"))["hessian_top"].values.item() > 0


def test_a_text_is_enough_for_a_language_model(dyntools: Command) -> None:
    pytest.importorskip("transformers", reason="the extra `text` is not installed")
    folder = FIXTURES / "runs/tiny-gpt"
    found = []
    for loss in (
        ("--text", folder / "text.txt", "--examples", 256),
        ("--problem", folder / "problem.py"),
    ):
        outcome = dyntools("analyze", folder, *loss, "--last", *ONE, "--force")
        assert outcome.code == 0, outcome.err
        series = hdf5.read(Path("r.h5"))["hessian_top"]
        found.append((series.values.item(), series.error.item()))
    (one, error), (other, other_error) = found
    assert abs(one - other) <= error + other_error + 1e-5 * one
