"""Sinks: where a recorder's numbers go besides its journal; each takes a writer that you made.

    Recorder(model, optimizer, sinks=[tensorboard(SummaryWriter("runs/1"))])

A tracker knows scalars alone, so a report is flattened: `dyn/metric/layer`, with a further part for
each further axis. What is not `ok`, and whole distributions, stay in the journal, where statuses,
errors and reasons are as well. What the loop itself logs is left to the loop. Nothing is imported
here: a sink calls the object that it was given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from dyntools.callbacks.recorder import Sink
from dyntools.journal import Row
from dyntools.measurement import Status

PREFIX = "dyn/"
STEP = PREFIX + "step"
LABELS = 16  # of an axis of numbers, above which it is a distribution and no scalars; chosen


def flattened(rows: Sequence[Row]) -> dict[str, float]:
    """The finite values of status `ok` by `dyn/metric/label/…`, in the order of the report."""
    found = {}
    for row in rows:
        part = row.measurement
        axes = [part.coords[dim] for dim in part.dims]
        if any(len(axis) > LABELS and not isinstance(axis[0], str) for axis in axes):
            continue
        statuses, values = part.status.ravel().tolist(), part.values.ravel().tolist()
        for labels, status, value in zip(product(*axes), statuses, values, strict=True):
            if status == Status.ok and math.isfinite(value):
                found[PREFIX + "/".join((row.metric, *map(str, labels)))] = value
    return found


def tensorboard(writer: Any) -> Sink:
    """Into a `torch.utils.tensorboard.SummaryWriter`, or any with `add_scalar(tag, value, step)`.

    TensorBoard's reader keeps 10 000 scalars of a tag unless it is told otherwise; so many reports
    are not common.
    """

    def sink(step: int, scalars: Mapping[str, float], rows: Sequence[Row]) -> None:
        for tag, value in flattened(rows).items():
            writer.add_scalar(tag, value, step)

    return sink


def wandb(run: Any, *, commit: bool = True) -> Sink:
    """Into a W&B run, as `wandb.init` returns it, over an axis of its own, `dyn/step`.

    W&B drops, with a warning alone, a row whose `step=` lies behind; so none is given here, and no
    row of the loop is lost to ours. A row advances W&B's own counter: a loop that calls
    `run.log(…, step=…)` with a counter of its own (epochs, say) takes commit=False, by which a
    report joins the loop's next row.
    """
    run.define_metric(STEP)
    run.define_metric(PREFIX + "*", step_metric=STEP)

    def sink(step: int, scalars: Mapping[str, float], rows: Sequence[Row]) -> None:
        if values := flattened(rows):
            run.log({STEP: step, **values}, commit=commit)

    return sink


def mlflow(module: Any, *, run_id: str | None = None) -> Sink:
    """Into the active run of the module `mlflow`, or into that of `run_id`.

    MLflow takes letters, digits and `_-. :/` in names; anything else becomes `_`.
    """

    def sink(step: int, scalars: Mapping[str, float], rows: Sequence[Row]) -> None:
        if values := {_plain(name): value for name, value in flattened(rows).items()}:
            module.log_metrics(values, step=step, run_id=run_id)

    return sink


def trackio(run: Any) -> Sink:
    """Into a Trackio run, as `trackio.init` returns it; the step stands in `dyn/step` as well."""

    def sink(step: int, scalars: Mapping[str, float], rows: Sequence[Row]) -> None:
        if values := flattened(rows):
            run.log({STEP: step, **values}, step=step)

    return sink


def lightning(trainer: Any) -> Sink:
    """Into every logger of a Lightning `Trainer`, at the step that its own rows are given.

    Lightning numbers a row by the batches that had stepped before it, one behind `global_step`, by
    which the journal and checkpoints count; its own callbacks read the same counter.
    """

    def sink(step: int, scalars: Mapping[str, float], rows: Sequence[Row]) -> None:
        if values := flattened(rows):
            for logger in trainer.loggers:
                logger.log_metrics(values, step=trainer.fit_loop.epoch_loop._batches_that_stepped)

    return sink


def hugging_face(trainer: Any) -> Sink:
    """Through `Trainer.log`: into its `log_history` and every tracker of `report_to`."""

    def sink(step: int, scalars: Mapping[str, float], rows: Sequence[Row]) -> None:
        if values := flattened(rows):
            trainer.log(values)

    return sink


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() or c in "_-. :/" else "_" for c in name)
