"""The adapter of the Hugging Face Trainer.

    Trainer(…, callbacks=[RecorderCallback(problem=problem, schedule=every(100))])

Steps are those of the optimizer, `state.global_step`, by which the folders `checkpoint-N` are
named. It measures in `on_step_end`, just before the Trainer saves: weights, optimizer state and
learning rate are those of the checkpoint. Gradients have been cleared by then; a metric of them
needs `gradients=True`, which measures in `on_optimizer_step`, one call earlier, where they are
there, clipped, and the learning rate is that of the step made and not of the next.

The Trainer hands over neither batch nor loss. Scalars are what it logs, every `logging_steps`: its
`loss` is the mean since it last logged. They come after the measurement of their step. Of losses
that are not finite it logs 0 (`logging_nan_inf_filter`, on by default); here they are NaN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from dyntools.callbacks.hosted import FATAL, Hosted, fatal, numbers
from dyntools.errors import UsageError
from dyntools.findings.finding import Finding
from dyntools.ranks import any_of_training

if not find_spec("transformers"):
    raise UsageError(
        "transformers is not installed.", remedy="python -m pip install 'dyntools[huggingface]'"
    )

from transformers import TrainerCallback


class RecorderCallback(Hosted, TrainerCallback):
    """Records a training of the Hugging Face Trainer; settings as of `Recorder`.

    path: of the journal, by default `live.jsonl` in `args.output_dir`.
    gradients: measure while the gradients of the step are there, see above.
    """

    def __init__(self, *, gradients: bool = False, **settings: Any) -> None:
        super().__init__(**settings)
        self._gradients = gradients

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        step = state.global_step
        recorder = self.open(given["model"], given.get("optimizer"), args.output_dir, step)
        if type(self).on_finding is not RecorderCallback.on_finding:
            recorder.on_finding(self.on_finding)
        recorder.step(step)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        if self.recorder is not None and self._gradients:
            self.recorder.step(state.global_step + 1)  # not counted yet

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        if self.recorder is not None and not self._gradients:
            self.recorder.step(state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **given: Any) -> None:
        if self.recorder is not None:
            values = numbers(logs or {})
            if args.logging_nan_inf_filter and _hidden(values):
                values["loss"] = math.nan
            self.recorder.log(state.global_step, **values)

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        self.close()

    def on_finding(self, finding: Finding) -> None:
        """For subclasses: a new finding, in the process that measures."""


def _hidden(values: Mapping[str, float]) -> bool:
    """Whether a loss of 0 stands for ones that were not finite: the gradients are not either."""
    return values.get("loss") == 0 and not math.isfinite(values.get("grad_norm", 0.0))


class StopOnDivergence(RecorderCallback):
    """Ends the training, after evaluating and saving as usual, when a finding asks to act.

    rules: the findings that count, by default `divergence` alone.
    """

    def __init__(self, *, rules: tuple[str, ...] = FATAL, **settings: Any) -> None:
        super().__init__(**settings)
        self.rules, self.reason = rules, ""

    def on_finding(self, finding: Finding) -> None:
        if fatal(finding, self.rules):
            self.reason = finding.sentence

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        super().on_step_end(args, state, control, **given)
        # All processes stop together: one that left alone would keep the others waiting.
        if any_of_training(bool(self.reason), args.device):
            control.should_training_stop = True
