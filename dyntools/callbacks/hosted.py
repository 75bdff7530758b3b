"""Hosted: what the adapters of Lightning and Hugging Face share: settings now, a recorder later.

A host makes the optimizer, and moves the model, after it was given its callbacks; so the recorder
is opened at the start of the training and closed at its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from dyntools.callbacks.recorder import Recorder, Sink
from dyntools.callbacks.sinks import PREFIX
from dyntools.findings.finding import Finding, Severity

FATAL = ("divergence",)  # rules after which going on is waste; chosen


class Hosted:
    """Holds the settings of a `Recorder` until there is a model to record."""

    def __init__(
        self, *, path: str | Path | None = None, sinks: Sequence[Sink] = (), **settings: Any
    ) -> None:
        self._path, self._sinks, self._settings = path, list(sinks), settings
        self.recorder: Recorder | None = None

    def add_sink(self, sink: Sink) -> None:
        """One that is made of the trainer, which is made after its callbacks."""
        self._sinks.append(sink)

    def open(
        self, model: nn.Module, optimizer: Optimizer | None, folder: str | Path, start: int
    ) -> Recorder:
        """A recorder of this training, at step `start`; one of an earlier training is closed."""
        self.close()
        path = Path(folder) / "live.jsonl" if self._path is None else Path(self._path)
        # Accelerate wraps the optimizer in one of its own, which holds neither groups nor state.
        bare = getattr(optimizer, "optimizer", optimizer)
        self.recorder = Recorder(
            model, bare, path=path, sinks=self._sinks, start=start, **self._settings
        )
        return self.recorder

    def close(self) -> None:
        """Seal what there is."""
        if self.recorder is not None:
            self.recorder.close()
            self.recorder = None


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The scalars among what a host logs, without those that we gave it and its own `step`."""
    found = {}
    for name, value in values.items():
        plain = isinstance(value, Real) and not isinstance(value, bool)
        single = isinstance(value, Tensor) and value.numel() == 1
        if (plain or single) and name != "step" and not name.startswith(PREFIX):
            found[name] = float(value)
    return found


def fatal(finding: Finding, rules: tuple[str, ...]) -> bool:
    """Whether to end the training for it."""
    return finding.rule in rules and finding.severity is Severity.act
