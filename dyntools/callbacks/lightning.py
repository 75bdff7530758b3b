"""The adapter of Lightning, for both of its packages, `lightning` and `pytorch_lightning`.

    Trainer(callbacks=[RecorderCallback(problem=problem, schedule=every(100))])

Steps are `trainer.global_step`, by which checkpoints are named: a measurement belongs to the
checkpoint of its number. (A row of Lightning's own logs has the number of batches that had stepped
before, one less.) With several optimizers, which a module steps by hand, `global_step` counts the
steps of all of them: two give even numbers alone, and a schedule has to meet those.

It measures in `on_train_batch_end`, after the optimizer and the learning rate have stepped and
before Lightning's own checkpoint callbacks save; the gradients of the step, clipped, are still
there. A batch of gradient accumulation that made no step is passed over.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dyntools.callbacks.hosted import FATAL, Hosted, fatal, numbers
from dyntools.errors import UsageError
from dyntools.findings.finding import Finding
from dyntools.ranks import any_of_training

PACKAGES = ("lightning.pytorch", "pytorch_lightning")


def _bases() -> Iterator[type]:
    """Callback of each package in use, so that either Trainer takes ours; else of the one found."""
    used = [name for name in PACKAGES if name in sys.modules]
    there = [name for name in PACKAGES if find_spec(name.partition(".")[0])]
    if not there:
        raise UsageError(
            "Lightning is not installed.", remedy="python -m pip install 'dyntools[lightning]'"
        )
    for name in used or there[:1]:
        yield import_module(name).Callback


class RecorderCallback(Hosted, *_bases()):  # type: ignore[misc]
    """Records a Lightning training; settings as of `Recorder`, the model is the module.

    path: of the journal, by default `live.jsonl` in `trainer.log_dir`.
    optimizer: which of several is recorded, by its place in what `configure_optimizers` gives; the
        metrics of the optimizer are left out where there are several and none is chosen.
    What the module logs (`self.log`) is taken up every `log_every_n_steps` steps, and at the end of
    each validation.

    Raises UsageError at the start of the training, as `Recorder` does, and for an optimizer that
    does not exist.
    """

    def __init__(self, *, optimizer: int | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self._place = optimizer

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        folder = Path(trainer.log_dir or trainer.default_root_dir)
        self._step = trainer.global_step
        recorder = self.open(pl_module, self._chosen(trainer.optimizers), folder, self._step)
        if type(self).on_finding is not RecorderCallback.on_finding:
            recorder.on_finding(lambda finding: self.on_finding(trainer, finding))
        recorder.step(self._step)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if self.recorder is None or step == self._step:
            return
        self._step = step
        logs = step % trainer.log_every_n_steps == 0
        self.recorder.step(step, **(numbers(trainer.callback_metrics) if logs else {}))

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if self.recorder is not None and not trainer.sanity_checking:
            self.recorder.log(trainer.global_step, **numbers(trainer.callback_metrics))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self.close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self.close()

    def on_finding(self, trainer: Any, finding: Finding) -> None:
        """For subclasses: a new finding, in the process that measures."""

    def _chosen(self, optimizers: Sequence[Any]) -> Any | None:
        """The one that is recorded; None of several of which none was chosen."""
        if self._place is None:
            return optimizers[0] if len(optimizers) == 1 else None
        if not 0 <= self._place < len(optimizers):
            raise UsageError(
                f"There is no optimizer {self._place}.",
                found=f"{len(optimizers)} in this training",
                remedy="RecorderCallback(optimizer=0) for the first one",
            )
        return optimizers[self._place]


class StopOnDivergence(RecorderCallback):
    """Ends the training, as its own early stopping would, when a finding asks to act.

    rules: the findings that count, by default `divergence` alone.
    """

    def __init__(self, *, rules: tuple[str, ...] = FATAL, **settings: Any) -> None:
        super().__init__(**settings)
        self.rules, self.reason = rules, ""

    def on_finding(self, trainer: Any, finding: Finding) -> None:
        if fatal(finding, self.rules):
            self.reason = finding.sentence

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        # All processes stop together: one that left alone would keep the others waiting.
        if any_of_training(bool(self.reason), pl_module.device):
            trainer.should_stop = True
