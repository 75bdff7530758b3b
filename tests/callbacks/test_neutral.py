"""Training with a recorder equals training without, in every bit; and the comparison can fail."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dyntools import read_report
from dyntools.callbacks import Recorder, every
from dyntools.callbacks import recorder as recorder_module
from dyntools.callbacks.neutral import neutral
from dyntools.measurement import per_layer
from dyntools.metrics import find
from dyntools.plan import Task
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


def draws_torch(model: nn.Module) -> None:
    torch.rand(1)


def draws_numpy(model: nn.Module) -> None:
    np.random.rand()  # noqa: NPY002


def draws_python(model: nn.Module) -> None:
    random.random()


def sets_threads(model: nn.Module) -> None:
    torch.set_num_threads(torch.get_num_threads() + 1)


def leaves_eval(model: nn.Module) -> None:
    model.eval()


def leaves_gradients(model: nn.Module) -> None:
    next(model.parameters()).grad = torch.ones_like(next(model.parameters()))


def leaves_a_hook(model: nn.Module) -> None:
    model.register_forward_hook(lambda *_: None)


def changes_weights(model: nn.Module) -> None:
    with torch.no_grad():
        next(model.parameters()).mul_(1 + 1e-6)


GUARDED = {draws_torch, draws_numpy, draws_python, sets_threads}
ALL = [
    *(draws_torch, draws_numpy, draws_python, sets_threads),
    *(leaves_eval, leaves_gradients, leaves_a_hook, changes_weights),
]


def _sabotaged(monkeypatch: pytest.MonkeyPatch, act: Callable[[nn.Module], None], path: Path):
    """A recorder with one metric that does `act` to the model in training."""
    models: list[nn.Module] = []

    def measure(snapshot: Any, **settings: Any) -> Any:
        act(models[0])
        return per_layer({"all": 0.0})

    metric = replace(find("weight_norm"), measure=measure, layerwise=False)

    def measure_all(snapshot: Any, tasks: Any, **settings: Any) -> Any:
        return original(snapshot, [Task(metric, {})], **settings)

    original = recorder_module.measure_all
    monkeypatch.setattr(recorder_module, "measure_all", measure_all)

    def make(model: nn.Module, optimizer: torch.optim.Optimizer) -> Recorder:
        models.append(model)
        settings = {"metrics": ["weight_norm"], "schedule": every(3), "budget": 1.0}
        return Recorder(model, optimizer, path=path, **settings)

    return make


@pytest.mark.parametrize("act", ALL)
def test_each_rule_that_is_broken_is_seen(
    act: Callable[[nn.Module], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(recorder_module, "neutral", lambda device: nullcontext())
    loop, threads = Loop(mlp, steps=10), torch.get_num_threads()
    sabotaged = _sabotaged(monkeypatch, act, tmp_path / "live.jsonl")
    try:
        assert differences(train(loop), train(loop, sabotaged))
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("act", sorted(GUARDED, key=lambda act: act.__name__))
def test_what_the_context_guards_is_put_back(
    act: Callable[[nn.Module], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loop = Loop(mlp, steps=10)
    sabotaged = _sabotaged(monkeypatch, act, tmp_path / "live.jsonl")
    assert differences(train(loop), train(loop, sabotaged)) == []


def test_the_context_works_in_inference_mode_and_under_autocast() -> None:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        with neutral(torch.device("cpu")):
            assert torch.is_grad_enabled()
            assert not torch.is_inference_mode_enabled()
            assert not torch.is_autocast_enabled("cpu")
        assert torch.is_inference_mode_enabled()
        assert torch.is_autocast_enabled("cpu")
