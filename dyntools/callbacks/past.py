"""Past: the steps that a live one is compared with: the start, the report before, warm starts.

Initial weights are those of the model when the recorder is made; where a training goes on from a
later step they are those that are given, or unknown. The step before is that of the last report,
for the first report that at which the recorder was made, as a checkpoint saved then would be. Only
what a metric needs is copied, and of what has passed no more than one step is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from dyntools.callbacks.copies import Copies
from dyntools.callbacks.requests import Requests
from dyntools.checkpoints import open_checkpoint
from dyntools.errors import UsageError
from dyntools.live import snapshot_of
from dyntools.log import Log
from dyntools.problem import Problem
from dyntools.problem.matching import bare
from dyntools.recipe import NOTHING, Recipe
from dyntools.run import parameters
from dyntools.snapshot import Snapshot, Tensors

Initial = str | Path | Mapping[str, Tensor] | None


class Past:
    """start: the step at which the model is now. device: where copies are kept."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer | None,
        problem: Problem | None,
        requests: Requests,
        *,
        start: int = 0,
        initial: Initial = None,
        device: torch.device | str = "cpu",
        recipe: Recipe = NOTHING,
    ) -> None:
        self._model, self._optimizer, self._problem = model, optimizer, problem
        self._recipe = recipe
        self._needs_previous = requests.need("previous")
        self._gradients = requests.need("gradients")
        device = torch.device(device)
        self._copies = Copies(state=requests.need("previous moments"), device=device)
        now = snapshot_of(model, start, optimizer=optimizer)
        self.shapes = now.params.shapes
        self._initial: Snapshot | None = None
        self._previous: Snapshot | None = None
        self._earlier: Snapshot | None = None
        if initial is not None:
            self._initial = _given(initial, now)
        elif requests.need("initial") and start == 0:
            self._initial = Copies(device=device).of(now)
        if self._needs_previous:
            self._previous = self._copies.of(now)

    def now(self, step: int, log: Log | None) -> Snapshot:
        """The model as it is now, between its past."""
        previous = self._previous
        return snapshot_of(
            self._model,
            step,
            optimizer=self._optimizer,
            problem=self._problem,
            initial=self._initial,
            previous=previous if previous is not None and previous.step < step else None,
            earlier=self._earlier,
            log=log,
            gradients=self._gradients,
            recipe=self._recipe,
        )

    def keep(self, snapshot: Snapshot) -> None:
        """What the next step will be compared with."""
        if self._earlier is not None:
            self._earlier.forget_vectors()
        # Not with its own past: that would be a chain of every step there was.
        self._earlier = replace(snapshot, previous=None, earlier=None, log=None)
        if self._needs_previous:
            self._previous = self._copies.of(snapshot)


def _given(initial: str | Path | Mapping[str, Tensor], now: Snapshot) -> Snapshot:
    """Raises UsageError where it is another model."""
    if isinstance(initial, Mapping):
        tensors = {bare(name): tensor.detach() for name, tensor in initial.items()}
        params = Tensors.of({name: tensors[name] for name in now.params if name in tensors})
    else:
        entries, _ = parameters(open_checkpoint(Path(initial)))
        shapes = {name: entry.shape for name, entry in entries.items() if name in now.params}
        params = Tensors(shapes, lambda name: entries[name].read())
    wrong = [n for n, shape in now.params.shapes.items() if params.shapes.get(n) != shape]
    if wrong:
        raise UsageError(
            "The initial weights are those of another model.",
            found=f"{wrong[0]}: {params.shapes.get(wrong[0], 'nothing')}, "
            f"and {now.params.shapes[wrong[0]]} in the model",
            remedy="initial=PATH of a checkpoint of this model, or its state_dict",
        )
    return Snapshot(0, params, device=now.device, kinds=now.kinds)
