"""Saboteurs: each rule of neutrality broken once, by a metric that does it to the live model."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dyntools.callbacks import recorder
from dyntools.measurement import Measurement, per_layer
from dyntools.metrics import find
from dyntools.plan import Task

Act = Callable[[nn.Module], None]


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


def leaves_a_hook_of_a_tensor(model: nn.Module) -> None:
    next(model.parameters()).register_hook(lambda gradient: None)


def leaves_another_forward(model: nn.Module) -> None:
    model.forward = model.forward


def changes_weights(model: nn.Module) -> None:
    with torch.no_grad():
        next(model.parameters()).mul_(1 + 1e-6)


# What `neutral` puts back whoever does it; the others are the duty of each metric.
GUARDED = (draws_torch, draws_numpy, draws_python, sets_threads)
ALL = (
    *(*GUARDED, leaves_eval, leaves_gradients, changes_weights),
    *(leaves_a_hook, leaves_a_hook_of_a_tensor, leaves_another_forward),
)


def sabotage(monkeypatch: pytest.MonkeyPatch, act: Act, *, guarded: bool) -> None:
    """From now on every recorder measures one thing, which does `act` to the model in training.

    guarded: within the context that puts things back, as always, or without it.
    """
    models: list[nn.Module] = []

    def measure(snapshot: Any, **settings: Any) -> Measurement:
        act(models[-1])
        return per_layer({"all": 0.0})

    metric = replace(find("weight_norm"), measure=measure, layerwise=False)
    original = recorder.measure_all

    def measure_all(snapshot: Any, tasks: Any, **settings: Any) -> Any:
        return original(snapshot, [Task(metric, {})], **settings)

    monkeypatch.setattr(recorder, "measure_all", measure_all)
    monkeypatch.setattr(recorder, "refuse_unfit", models.append)  # the first to see the model
    if not guarded:
        monkeypatch.setattr(recorder, "neutral", lambda device: nullcontext())
