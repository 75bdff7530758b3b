"""Copies: a live model at a step that has passed, for metrics that compare with one.

Parameters of a running model change under the snapshot that was made of them; a copy has tensors of
its own, and keeps the spectra and eigenvectors that were computed while it was alive.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dyntools.checkpoint import Entry, OptimizerState
from dyntools.snapshot import Snapshot, Tensors

CPU = torch.device("cpu")
# Found on the live model, whose tensors go on: the state would be that of a later step.
ALIVE = ("optimizer", "estimated", "risk")


def copied(snapshot: Snapshot, *, state: bool = False, device: torch.device = CPU) -> Snapshot:
    """The same step on tensors of its own; with the moments of the optimizer where asked for.

    device: where they are kept.
    """
    optimizer = snapshot.optimizer if state else None
    kept = None if optimizer is None else _state(optimizer, device)
    computed = {key: found for key, found in snapshot._computed.items() if key not in ALIVE}
    return replace(
        snapshot,
        params=_tensors(snapshot.params, device),
        buffers=_tensors(snapshot.buffers, device),
        open_optimizer=None if kept is None else lambda: kept,
        gradients=None,
        log=None,
        initial=None,
        previous=None,
        earlier=None,
        _moments=[],
        _computed=computed,
    )


def _tensors(tensors: Tensors, device: torch.device) -> Tensors:
    return Tensors.of({name: _copy(tensor, device) for name, tensor in tensors.items()})


def _state(state: OptimizerState, device: torch.device) -> OptimizerState:
    entries = {
        name: {key: _entry(entry, device) for key, entry in own.items()}
        for name, own in state.state.items()
    }
    return replace(state, state=entries)


def _entry(entry: Entry, device: torch.device) -> Entry:
    tensor = _copy(entry.read(), device)
    return replace(entry, read=lambda: tensor)


def _copy(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.detach().to(device, copy=True)
