"""inspect, metrics, doctor and plot: one look each at what a person sees."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dyntools import hdf5
from dyntools.cli.doctor import TOLERANCE, double_backward_error
from dyntools.metrics import METRICS
from tests.conftest import Outcome
from tests.processes import FIXTURES
from tests.reports import random_report

Command = Callable[..., Outcome]


def test_inspect_says_what_is_there_and_what_is_missing(
    dyntools: Command, small_run: Path, tmp_path: Path
) -> None:
    (small_run / "log.jsonl").unlink()
    outcome = dyntools("inspect", small_run)
    assert outcome.code == 0, outcome.err
    for text in ("step-00020.pt", "layer_rotation", "--logs", "4 tensors"):
        assert text in outcome.out, text
    assert list(tmp_path.iterdir()) == [small_run]


def test_inspect_json(dyntools: Command) -> None:
    content = json.loads(dyntools("inspect", FIXTURES / "runs/digits-mlp", "--json").out)
    absent = {"problem", "gradients"}
    lossless = [metric.name for metric in METRICS if not absent & set(metric.needs)]
    assert content["measurable"] == lossless
    assert set(content["missing"]) == {metric.name for metric in METRICS} - set(lossless)
    assert content["tensors"]["0.weight"]["dtype"] == "float32"
    assert content["log"]["roles"]["validation_loss"] == "val/loss"
    assert content["checkpoints"][0]["step"] == 0


def test_metrics_lists_each_with_its_needs(dyntools: Command) -> None:
    listed = dyntools("metrics").out
    facts = json.loads(dyntools("metrics", "--json").out)
    assert [fact["name"] for fact in facts] == [metric.name for metric in METRICS]
    for fact in facts:
        assert fact["name"] in listed
    card = dyntools("metrics", "effective_rank").out
    assert "Roy" in card


def test_doctor_is_content_with_this_machine(dyntools: Command) -> None:
    outcome = dyntools("doctor")
    assert outcome.code == 0
    assert "cpu" in outcome.out


def test_doctor_would_notice_a_wrong_double_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    original = torch.autograd.grad

    def wrong(*arguments: object, **options: object) -> tuple[torch.Tensor, ...]:
        found = original(*arguments, **options)
        return tuple(1.001 * gradient for gradient in found)

    assert double_backward_error(torch.device("cpu")) < TOLERANCE
    monkeypatch.setattr(torch.autograd, "grad", wrong)
    assert double_backward_error(torch.device("cpu")) > 1e-4


def test_plot_writes_png_and_svg(dyntools: Command, tmp_path: Path) -> None:
    hdf5.write(random_report(), tmp_path / "r.h5")
    outcome = dyntools("plot", "r.h5", "-o", "plots")
    assert outcome.code == 0, outcome.err
    written = {path.suffix for path in (tmp_path / "plots").iterdir()}
    assert written == {".png", ".svg"}


def test_plot_to_a_place_that_is_no_folder(dyntools: Command, tmp_path: Path) -> None:
    hdf5.write(random_report(), tmp_path / "r.h5")
    (tmp_path / "plots").write_text("")
    outcome = dyntools("plot", "r.h5", "-o", "plots")
    assert outcome.code == 2
    assert "cannot be written" in outcome.err
