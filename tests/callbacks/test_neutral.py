"""Training with a recorder equals training without, in every bit; and the comparison can fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dyntools import read_report
from dyntools.callbacks import Recorder, every
from dyntools.callbacks.neutral import neutral
from tests.saboteurs import ALL, GUARDED, Act, sabotage
from tests.trainings import Loop, TinyGPT, cnn, differences, mlp, problem_of, train

LOOPS = {
    "mlp with dropout": Loop(mlp),
    "cnn with batch norm": Loop(cnn),
    "gpt": Loop(TinyGPT),
    "accumulation": Loop(mlp, accumulate=3),
    "autocast": Loop(mlp, autocast=True),
    "autocast cnn": Loop(cnn, autocast=True),
    "scaler": Loop(mlp, scaler=True),
    "compiled": Loop(mlp, compiled=True),
}


def recorded(loop: Loop, path: Path, **settings: Any) -> Callable[..., Recorder]:
    def make(model: nn.Module, optimizer: torch.optim.Optimizer) -> Recorder:
        given = {"metrics": "full", "schedule": every(100), "budget": 1.0} | settings
        return Recorder(model, optimizer, problem=problem_of(loop.make), path=path, **given)

    return make


@pytest.mark.parametrize("name", LOOPS)
def test_training_is_the_same_to_the_last_bit(name: str, tmp_path: Path) -> None:
    loop = LOOPS[name]
    path = tmp_path / "live.jsonl"
    assert differences(train(loop), train(loop, recorded(loop, path))) == []
    report = read_report(path.with_suffix(".h5"))
    assert {"hessian_top", "effective_rank", "update_snr"} <= set(report.series)
    assert report.series["hessian_top"].ok.any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("scaler", [False, True])
def test_training_on_a_gpu_is_the_same(scaler: bool, tmp_path: Path) -> None:
    loop = Loop(mlp, device="cuda", scaler=scaler, autocast=True)
    found = train(loop, recorded(loop, tmp_path / "live.jsonl"))
    assert differences(train(loop), found) == []


@pytest.mark.parametrize("act", ALL)
def test_each_rule_that_is_broken_is_seen(
    act: Act, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loop, threads = Loop(mlp, steps=10), torch.get_num_threads()
    sabotage(monkeypatch, act, guarded=False)
    try:
        assert differences(train(loop), train(loop, often(loop, tmp_path)))
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("act", GUARDED)
def test_what_the_context_guards_is_put_back(
    act: Act, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loop = Loop(mlp, steps=10)
    sabotage(monkeypatch, act, guarded=True)
    assert differences(train(loop), train(loop, often(loop, tmp_path))) == []


def often(loop: Loop, folder: Path) -> Callable[..., Recorder]:
    return recorded(loop, folder / "live.jsonl", metrics=["weight_norm"], schedule=every(3))


def test_the_context_works_in_inference_mode_and_under_autocast() -> None:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        with neutral(torch.device("cpu")):
            assert torch.is_grad_enabled()
            assert not torch.is_inference_mode_enabled()
            assert not torch.is_autocast_enabled("cpu")
        assert torch.is_inference_mode_enabled()
        assert torch.is_autocast_enabled("cpu")
