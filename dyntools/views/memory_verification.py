"""Memory verification: AdamW and a plan, trained on from one checkpoint, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from dyntools.adam_memory.decision import finite
from dyntools.views.cells import PICKED, QUIET
from dyntools.views.columns import Column, Grid
from dyntools.views.fitted import Fitted
from dyntools.views.memory_tables import bullets
from dyntools.views.memory_words import amount
from dyntools.views.numbers import number, signed

if TYPE_CHECKING:
    from dyntools.verification import Arm, Interval, Verification

DIGITS = 5  # of a loss, whose differences are small; chosen


def verification(found: Verification) -> RenderableType:
    """The verdict, the losses, the memory and the time of both, and what limits it."""
    return Fitted(lambda width: _built(found))


def as_dict(found: Verification) -> dict[str, object]:
    """Strict JSON: what is not finite is null."""
    return {
        "step": found.step,
        "steps": found.steps,
        "seeds": list(found.seeds),
        "batch_size": found.batch_size,
        "learning_rate": finite(found.learning_rate),
        "examples": {"training": found.examples[0], "judged": found.examples[1]},
        "evaluated": found.evaluated,
        "start": finite(found.start),
        "adamw": _arm(found.adamw),
        "plan": _arm(found.plan),
        "differences": [finite(value) for value in found.differences],
        "difference": _interval(found.difference),
        "training_difference": _interval(found.training_difference),
        "order_spread": finite(found.order_spread),
        "saved_bytes": found.saved_bytes,
        "verdict": found.verdict,
        "limits": list(found.limits),
    }


def _built(found: Verification) -> RenderableType:
    orders = f"{len(found.seeds)} orders of the examples"
    title = f"Verified: {found.steps} steps on from step {found.step}, in {orders}"
    return Group(
        Text(title, PICKED),
        Text(found.verdict),
        _table(found),
        Text(f"loss: {found.evaluated}; at the start {number(found.start, digits=DIGITS)}", QUIET),
        Text("difference: of the means, with its 95 % interval over the orders", QUIET),
        bullets(found.limits, QUIET),
        Text(),
    )


def _table(found: Verification) -> Grid:
    before, after = found.adamw, found.plan
    rows = (
        ("loss, mean of the orders", _mean(before), _mean(after), _between(found.difference)),
        (
            "loss of the mini-batches",
            number(float(np.mean(before.training)), digits=DIGITS),
            number(float(np.mean(after.training)), digits=DIGITS),
            _between(found.training_difference),
        ),
        (
            "optimizer state",
            amount(before.state_bytes),
            amount(after.state_bytes),
            amount(-found.saved_bytes),
        ),
        ("time of a step", *_times(before.seconds, after.seconds)),
        ("of it, the optimizer", *_times(before.optimizer_seconds, after.optimizer_seconds)),
    )
    columns = [Column("", tuple(row[0] for row in rows), right=False)]
    headers = ("AdamW", "the plan", "difference")
    columns += [Column(h, tuple(row[i + 1] for row in rows)) for i, h in enumerate(headers)]
    return Grid(tuple(columns), (), "")


def _mean(arm: Arm) -> str:
    return number(float(np.mean(arm.losses)), digits=DIGITS)


def _between(interval: Interval) -> str:
    if not np.isfinite(interval.half_width):
        return "–"
    sign = "+" if interval.mean > 0 else ""
    return f"{sign}{interval.mean:.2g} ± {interval.half_width:.2g}"


def _times(before: float, after: float) -> tuple[str, str, str]:
    """In milliseconds, and by how many percent longer."""
    change = f"{signed(100 * (after / before - 1))} %" if before > 0 else "–"
    return f"{number(1e3 * before)} ms", f"{number(1e3 * after)} ms", change


def _arm(arm: Arm) -> dict[str, object]:
    return {
        "losses": [finite(loss) for loss in arm.losses],
        "training": [finite(loss) for loss in arm.training],
        "state_bytes": arm.state_bytes,
        "seconds": finite(arm.seconds),
        "optimizer_seconds": finite(arm.optimizer_seconds),
    }


def _interval(interval: Interval) -> dict[str, float | None]:
    return {"mean": finite(interval.mean), "half_width": finite(interval.half_width)}
