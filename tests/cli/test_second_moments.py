"""Second moments estimated from gradients, asked for at the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dyntools import hdf5
from tests.cli.test_problem import MLP, problem_file
from tests.conftest import Outcome

Command = Callable[..., Outcome]
SNR = ("--metric", "second_moment_snr", "-o", "r.h5")


def test_a_run_without_optimizer_state_is_measured_and_marked(
    dyntools: Command, small_run: Path, tmp_path: Path
) -> None:
    loss = ("--problem", problem_file(tmp_path))
    option = ("--estimate-second-moments", "12:batch=6,beta2=0.95")
    outcome = dyntools("analyze", small_run, *SNR, *loss, *option)
    assert outcome.code == 0, outcome.err
    report = hdf5.read(Path("r.h5"))
    series = report["second_moment_snr"]
    assert np.isfinite(series.values[:, series.coords["layer"].index("0.weight")]).all()
    sentence = "estimated at fixed weights from 12 gradients of batches of 6, β2 0.95, seed 0"
    assert series.settings["second_moments"] == report.attributes["second_moments"] == sentence
    assert all(sentence in method for method in series.method)
    weights = 0.05 * 0.95 ** np.arange(12)
    assert series.beside["n_eff"][0, 0, 0] == pytest.approx(weights.sum() ** 2 / (weights**2).sum())


def test_what_adam_saved_comes_before_an_estimate(dyntools: Command) -> None:
    """At step 0 of this run Adam has not moved yet, and only there is an estimate needed."""
    at = ("--steps", "0,3000", "--metric", "effective_lr")
    assert dyntools("analyze", MLP, *SNR, *at).code == 0
    saved = hdf5.read(Path("r.h5"))["second_moment_snr"]
    option = ("--problem", MLP / "problem.py", "--estimate-second-moments", "5:batch=30")
    outcome = dyntools("analyze", MLP, *SNR, *at, *option, "--force")
    assert outcome.code == 0, outcome.err
    both = hdf5.read(Path("r.h5"))["second_moment_snr"]
    assert np.isnan(saved.values[0]).all()
    assert np.isfinite(both.values[0]).any()
    np.testing.assert_array_equal(saved.values[1], both.values[1])
    assert "estimated" in both.method[0]
    assert "estimated" not in both.method[1]
    rates = hdf5.read(Path("r.h5"))["effective_lr"]
    assert any("learning rate" in o.reason and 0 in o.steps for o in rates.omissions)


@pytest.mark.parametrize(
    "text",
    ["", "x", "0", "5:batch=0", "5:beta2=1", "5:bach=3", "5:batch", "5:", "5:batch=1,batch=2"],
)
def test_a_mistaken_request_is_refused_before_anything_runs(
    text: str, dyntools: Command, small_run: Path, tmp_path: Path
) -> None:
    path = problem_file(tmp_path)
    path.write_text("raise SystemExit('was run')")
    outcome = dyntools("analyze", small_run, "--problem", path, "--estimate-second-moments", text)
    assert outcome.code == 2
    assert "--estimate-second-moments 200:batch=32" in outcome.err
    assert "was run" not in outcome.err


def test_without_a_loss_the_way_out_is_named(dyntools: Command, small_run: Path) -> None:
    outcome = dyntools("analyze", small_run, "--estimate-second-moments", 10)
    assert outcome.code == 2
    assert "--problem FILE.py:NAME" in outcome.err
    outcome = dyntools("analyze", small_run, *SNR)
    assert outcome.code == 2
    assert "--estimate-second-moments 200" in outcome.err


def test_a_batch_beyond_the_examples_ends_before_anything_is_written(
    dyntools: Command, small_run: Path, tmp_path: Path
) -> None:
    loss = ("--problem", problem_file(tmp_path))
    option = ("--estimate-second-moments", "3:batch=25")
    outcome = dyntools("analyze", small_run, *SNR, *loss, *option)
    assert outcome.code == 2
    assert "25 examples of 24" in outcome.err
    assert "--estimate-second-moments 3:batch=3" in outcome.err
    assert not Path("r.h5").exists()
