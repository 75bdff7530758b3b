"""What metrics with one number a layer share: from the numbers to a Measurement.

A layer without a number keeps its place in the axis, as NaN with a status and a sentence; what is
no layer for this metric (a bias has no spectrum) is only named among what was left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dyntools.measurement import Measurement, Status, per_layer

if TYPE_CHECKING:
    from dyntools.snapshot import Snapshot


@dataclass(frozen=True)
class Row:
    """One layer: its number with error and companions, or why it has none."""

    value: float = math.nan
    error: float = math.nan
    beside: Mapping[str, float] = field(default_factory=dict)
    status: Status = Status.ok
    reason: str = ""
    method: str = ""


def failed(reason: str, beside: Mapping[str, float] | None = None) -> Row:
    """The numbers do not allow it."""
    return Row(status=Status.failed, reason=reason, beside=beside or {})


def missing(reason: str) -> Row:
    """An input is not there at this step."""
    return Row(status=Status.skipped, reason=reason)


def collect(
    rows: Mapping[str, Row],
    *,
    beside: Iterable[str] = (),
    error: bool = False,
    left_out: Mapping[str, str] | None = None,
    method: str = "",
) -> Measurement:
    """Rows by layer name; the companions named in `beside` are always there, NaN where unknown."""
    reasons = {name: row.reason for name, row in rows.items() if row.reason}
    methods = dict.fromkeys(row.method for row in rows.values() if row.method)
    return per_layer(
        {name: row.value for name, row in rows.items()},
        error={name: row.error for name, row in rows.items()} if error else None,
        beside={
            key: {name: row.beside.get(key, math.nan) for name, row in rows.items()}
            for key in beside
        },
        status={name: row.status for name, row in rows.items()},
        skipped={**(left_out or {}), **reasons},
        method=method or "; ".join(methods),
    )


def unlike(snapshot: Snapshot, other: Snapshot, parameter: str) -> str:
    """Why a parameter cannot be compared with the one of another step; empty where it can."""
    now, then = snapshot.params.shapes[parameter], other.params.shapes.get(parameter)
    if then is None:
        return f"there is no such parameter at step {other.step}"
    return f"its shape was {then} at step {other.step}" if then != now else ""


def left_out_below(snapshot: Snapshot, dimensions: int, why: str) -> dict[str, str]:
    """The parameters with fewer dimensions than a metric is about."""
    shapes = snapshot.params.shapes
    return {name: f"{len(s)}-d: {why}" for name, s in shapes.items() if len(s) < dimensions}


def steps_since(snapshot: Snapshot, other: Snapshot) -> int:
    """Steps between two checkpoints; 1 where the numbering does not go up."""
    return max(snapshot.step - other.step, 1)
