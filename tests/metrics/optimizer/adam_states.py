"""Snapshots whose optimizer state is made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from dyntools.checkpoint import Entry, OptimizerState
from dyntools.snapshot import Snapshot, Tensors

SETTINGS = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}


def entry(tensor: Tensor) -> Entry:
    dtype = str(tensor.dtype).removeprefix("torch.")
    return Entry(tuple(tensor.shape), dtype, lambda: tensor)


def adam_snapshot(
    second: Mapping[str, Tensor],
    first: Mapping[str, Tensor] | None = None,
    *,
    weights: Mapping[str, Tensor] | None = None,
    steps: float = 1e9,
    step: int = 100,
    family: str = "adam",
    estimated: str = "",
    previous: Snapshot | None = None,
    **settings: object,
) -> Snapshot:
    """Adam's state after so many steps that v̂ = v, unless `steps` says otherwise.

    A tensor that has no `first` has a first moment of zero; settings of None are not there.
    """
    first = {name: torch.zeros_like(v) for name, v in second.items()} | dict(first or {})
    group = {k: v for k, v in {**SETTINGS, **settings}.items() if v is not None}
    state = {
        name: {
            "step": entry(torch.tensor(float(steps), dtype=torch.float64)),
            "exp_avg": entry(first[name]),
            "exp_avg_sq": entry(v),
        }
        for name, v in second.items()
    }
    groups = ({**group, "params": tuple(second)},)
    stored = OptimizerState(family, groups, state, "by name", estimated)
    params = {name: torch.ones_like(v) for name, v in second.items()} | dict(weights or {})
    return Snapshot(step, Tensors.of(params), previous=previous, open_optimizer=lambda: stored)


def without(snapshot: Snapshot, key: str) -> Snapshot:
    """The same with one of the entries of the state gone."""
    state = snapshot.optimizer
    assert state is not None
    left = {
        name: {k: v for k, v in entries.items() if k != key}
        for name, entries in state.state.items()
    }
    return replace(
        snapshot, open_optimizer=lambda: replace(state, state=left), _computed={}, _moments=[]
    )


def lognormal(count: int, spread: float, centre: float = 1.0, seed: int = 0) -> Tensor:
    """v of which √v is lognormal about `centre` with log standard deviation `spread`; float64."""
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(count, generator=generator, dtype=torch.float64)
    return (2.0 * spread * normal).exp() * centre**2
