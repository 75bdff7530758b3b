"""Copies: a live model at a step that has passed, for metrics that compare with one.

Parameters of a running model change under the snapshot that was made of them; a copy has tensors of
its own, and keeps the spectra and eigenvectors that were computed while it was alive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from dyntools.checkpoint import Entry, OptimizerState
from dyntools.snapshot import Snapshot, Tensors

CPU = torch.device("cpu")
# Found on the live model, whose tensors go on: the state would be that of a later step.
ALIVE = ("optimizer", "estimated", "risk")
Key = tuple[str, ...]


class Copies:
    """Room for one step; the next one is laid into it, and is then what earlier copies hold too.

    So a step that has passed takes the memory of one model, also while it is replaced.
    state: with the moments of the optimizer. device: where the copies lie.
    """

    def __init__(self, *, state: bool = False, device: torch.device = CPU) -> None:
        self._state, self._device = state, device
        self._room: dict[Key, Tensor] = {}

    def of(self, snapshot: Snapshot) -> Snapshot:
        """The same step on tensors of its own, without its past."""
        optimizer = snapshot.optimizer if self._state else None
        sources = _sources(snapshot, optimizer)
        self._fill(sources)
        kept = None if optimizer is None else self._moments(optimizer)
        computed = {key: found for key, found in snapshot._computed.items() if key not in ALIVE}
        return replace(
            snapshot,
            params=self._tensors("params", snapshot.params),
            buffers=self._tensors("buffers", snapshot.buffers),
            open_optimizer=None if kept is None else lambda: kept,
            gradients=None,
            log=None,
            initial=None,
            previous=None,
            earlier=None,
            _moments=[],
            _computed=computed,
        )

    def _fill(self, sources: Mapping[Key, Tensor]) -> None:
        room = self._room
        self._room = {
            key: room[key]
            if key in room and _alike(room[key], source)
            else torch.empty_like(source, device=self._device)
            for key, source in sources.items()
        }
        if sources:
            with torch.no_grad():
                torch._foreach_copy_(list(self._room.values()), list(sources.values()))

    def _tensors(self, part: str, tensors: Tensors) -> Tensors:
        return Tensors.of({name: self._room[part, name] for name in tensors})

    def _moments(self, state: OptimizerState) -> OptimizerState:
        entries = {
            name: {key: self._entry((name, key, "state"), entry) for key, entry in own.items()}
            for name, own in state.state.items()
        }
        return replace(state, state=entries)

    def _entry(self, key: Key, entry: Entry) -> Entry:
        tensor = self._room[key]
        return replace(entry, read=lambda: tensor)


def _sources(snapshot: Snapshot, optimizer: OptimizerState | None) -> dict[Key, Tensor]:
    """What is to be copied."""
    found: dict[Key, Tensor] = {}
    for part, tensors in (("params", snapshot.params), ("buffers", snapshot.buffers)):
        found |= {(part, name): tensor for name, tensor in tensors.items()}
    for name, own in {} if optimizer is None else optimizer.state.items():
        found |= {(name, key, "state"): entry.read() for key, entry in own.items()}
    return {key: tensor.detach() for key, tensor in found.items()}


def _alike(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and one.stride() == other.stride()
